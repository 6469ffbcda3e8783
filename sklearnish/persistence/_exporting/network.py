"""The graph: inputs, what is done to them, the trained module, and what is made of its outputs."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sklearnish.estimators import input_dtype
from sklearnish.persistence._exporting.model_parts import Parts
from sklearnish.persistence._exporting.table import Category, Table, TableColumn
from sklearnish.training import copied_modules

X = "X"
"""Name of the only input."""


@dataclass(frozen=True)
class Input:
    """One input of a graph that is no table; what is there of it is as of a column.

    Attributes
    ----------
    name : str
        Its name.
    dtype : str
        Type of its values, such as "float32".
    shape : tuple of int
        Shape of one row.
    about : mapping
        What else is to be known of its values: nothing.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


AnyInput = Input | TableColumn


def is_text(one: AnyInput) -> TypeGuard[Category]:
    """Say whether an input is text, of which the graph takes codes."""
    return isinstance(one, Category) and one.is_text


class Network(nn.Module):
    """Predicts as an estimator does, from a tensor, or from a dict of one for each input."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        estimator, net = parts.estimator, parts.estimator.net_
        self.inputs: list[AnyInput]
        if parts.encoder is None:
            self.inputs, table = [*_inputs_of(parts)], []
        else:
            table = [Table(parts.encoder)]
            self.inputs = [*table[0].columns]
        self.is_dict = bool(table) or bool(estimator._row[0][0])
        self.before = nn.Sequential(*table, *parts.scalings)
        (module,) = copied_modules(net.module_)
        self.module = module.cpu().eval().requires_grad_(False)
        self._dtype = input_dtype(net)
        # In half precision, outputs would depend on how a machine computes them.
        precision = "float64" if net.precision == "float64" else "float32"
        cpu = torch.device("cpu")
        step = replace(net.step_, module=self.module, precision=precision, device=cpu)
        self._infer, self._result_of = step.infer, estimator._result_of

    def forward(self, X: Any) -> Tensor:
        """Predict."""
        X = self.before(X)
        if len(self.before):
            X = X.to(self._dtype)
        outputs: Tensor = self._result_of(self._infer(X))
        return outputs

    def example(self, n_rows: int) -> Any:
        """Make rows of zeros."""
        made = {
            one.name: torch.zeros(n_rows, *one.shape, dtype=getattr(torch, one.dtype))
            for one in self.inputs
        }
        return made if self.is_dict else made[X]


def _inputs_of(parts: Parts) -> list[Input]:
    """List what the graph takes."""
    real = str(input_dtype(parts.estimator.net_)).removeprefix("torch.")
    real = "float64" if parts.scalings else real
    return [
        Input(name or X, real if dtype.startswith("float") else dtype, tuple(shape))
        for name, dtype, shape in parts.estimator._row
    ]


def traced(network: Network) -> torch.export.ExportedProgram:
    """Trace the graph for any number of rows.

    Raises
    ------
    ValueError
        If torch cannot.
    """
    rows = network.example(5)
    many = {0: torch.export.Dim.DYNAMIC}
    shapes = dict.fromkeys(rows, many) if network.is_dict else many
    faults = []
    for strict in (False, True):  # slower, strict knows more of Python, such as len(X)
        try:
            with quiet():
                return torch.export.export(
                    network, (rows,), dynamic_shapes=(shapes,), strict=strict
                )
        except Exception as error:  # the module's own code: anything can come
            faults.append(error)
    raise not_exported(network, faults[0]) from faults[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what torch tells its developers."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def not_exported(network: Network, error: BaseException) -> ValueError:
    """Name the module that torch could not turn into a graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ValueError(
        f"The module {type(network.module).__name__} cannot be exported; torch says: "
        f"{lines[0] if lines else type(error).__name__}. A graph has no Python: in its forward, "
        "let no `if` or loop depend on values of a tensor, nor a shape on the number of rows."
    )
