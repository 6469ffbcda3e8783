"""What the objects of ours in a file consist of: the fields and their types, and nothing else."""

from collections.abc import Iterable
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from torch import nn

from sklearnish.data import PerBatch, PipelineReport
from sklearnish.persistence._archive import objects_in
from sklearnish.preprocessing import TableEncoder
from sklearnish.training import FunctionLoss

FITTED: dict[str, Any] = {
    "classes_": np.ndarray,
    "embedding_": str,
    "encoder_": TableEncoder,
    "feature_names_in_": np.ndarray,
    "history_": list[Any],
    "loss_": float,
    "multilabel_": bool,
    "n_features_in_": int,
    "n_inputs_": int,
    "n_iter_": int,
    "pipeline_report_": PipelineReport,
    "target_mean_": np.ndarray | float,
    "target_range_": np.ndarray,
    "target_scale_": np.ndarray | float,
    "temperature_": float,
    "width_": int,
    "_announced": np.ndarray | None,
    "_code_shape": tuple,
    "_functions": tuple,
    "_left_out": tuple,
    "_n_features_out": int,
    "_ndim": int,
    "_per_class": np.ndarray | None,
    "_row_shape": tuple,
    "_row": tuple,
    "_seed": int,
    "_sklearn_output_config": dict[str, str],
    "_transforms_by": str,
    "_takes": Literal[None, nn.BCELoss, nn.NLLLoss],
    "_values": str,
    "_width_fitted": int,
    "_y_shape": tuple,
}
"""What a fit leaves in an estimator; anything else that one has must be numbers or text."""

_OBJECTS = frozenset({"encoder_", "pipeline_report_", "_takes"})

_NO_DATA = frozenset({"$code", "$instance", "$module", "$partial", "$random_state"})

_NUMBERS = {int: Integral, float: Real, bool: bool | np.bool_, str: str}


def make(kind: type, values: dict[str, Any]) -> Any:
    """Make an object of ours of its fields, which may come from a stranger."""
    if kind is PerBatch:  # what its signature asks for is looked up again
        known = ("f", "names_epoch", "names_rng", "takes_y")
        check_fields("PerBatch", values, dict.fromkeys(known, Any))
        f: Any = values.get("f")
        return PerBatch(f)
    if kind is TableEncoder:
        return _make_encoder(values)
    wanted = get_type_hints(kind)
    check_fields(kind.__name__, values, {f.name: wanted[f.name] for f in fields(kind)})
    return kind(**values)


def _make_encoder(values: dict[str, Any]) -> TableEncoder:
    """Make an encoder of its parameters and what it has learned."""
    encoder = TableEncoder()
    params = dict.fromkeys(encoder.get_params(deep=False), Any)
    check_fields("TableEncoder", values, params | get_type_hints(TableEncoder))
    encoder.__dict__.update(values)
    return encoder


def check_fields(owner: str, values: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse fields that are not there, or of another type."""
    for name, value in values.items():
        if name not in wanted:
            raise ValueError(f"it sets {name!r} of a {owner}, which sn.save never does.")
        if not fits(value, wanted[name]):
            raise ValueError(
                f"it sets {name!r} of a {owner} to a {type(value).__name__}, which sn.save never "
                "does."
            )


def fits(value: Any, hint: Any) -> bool:
    """Say whether a value is of an annotated type; numbers of NumPy are numbers."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Literal:
        return any(value is arg or (type(value) is str and value == arg) for arg in args)
    if origin is np.ndarray:
        return type(value) is np.ndarray
    if origin is dict:
        return type(value) is dict and all(
            fits(key, args[0]) and fits(item, args[1]) for key, item in value.items()
        )
    if origin in (tuple, list):
        return type(value) is origin and all(fits(item, args[0]) for item in value)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, _NUMBERS.get(hint, hint))


def check_fitted(nodes: dict[str, Any]) -> None:
    """Refuse attributes of one of our estimators that hold code or objects, as JSON."""
    for name in set(nodes) - _OBJECTS:
        check_data(nodes[name], name)


def check_data(node: Any, where: str) -> Any:
    """Return JSON that holds numbers, text, tensors and lists of them; refuse code and objects."""
    for part in objects_in(node):
        for kind in _NO_DATA & part.keys():
            raise ValueError(
                f"{where} holds code or an object ({kind[1:]}); only numbers, text, arrays, "
                "tensors, and lists and dicts of them can be there."
            )
    return node


def check_names(names: Iterable[str], owner: type) -> None:
    """Refuse attributes that would take the place of a method, or that Python gives a meaning."""
    for name in names:
        if not name.isidentifier() or name.startswith("__") or hasattr(owner, name):
            raise ValueError(f"it sets {name!r} of a {owner.__name__}, which sn.save never does.")


def check_plain(kind: type, nodes: dict[str, Any]) -> None:
    """Refuse what a module of torch or ours never has beside weights and children, as JSON."""
    check_names(nodes, kind)
    if kind is FunctionLoss:
        check_fields("FunctionLoss", nodes, dict.fromkeys(("function", "reduction"), Any))
        return
    for name, node in nodes.items():
        check_data(node, f"{name} of a {kind.__name__}")
