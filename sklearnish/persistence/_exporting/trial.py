"""A file is tried before it gets its name: on rows made up for it, it must predict as the model."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data import warn
from sklearnish.persistence._exporting.model_parts import Parts, center_of
from sklearnish.persistence._exporting.network import Input, Network, X
from sklearnish.preprocessing import TableEncoder

Array = npt.NDArray[Any]

_N_ROWS = 3
_TOLERANCE = {"bf16": 0.1, "fp16": 0.02}
"""How far predictions may be off, in units of `_units`; 0.001 in full precision."""

_LEAST = 1e-30
"""Probability that is told from lower ones, and from zero."""

_LEAST_REST = 1e-4
"""The same of 1 - p, which float32 rounds."""


def check_predictions(
    run: Callable[[Any], Array], parts: Parts, network: Network, method: str
) -> None:
    """Compare predictions of a file with those of the model, for one row and for several.

    Raises
    ------
    ValueError
        If they differ.

    Warns
    -----
    UserWarning
        If the model itself fails on rows that are made up.
    """
    given, rows = _made_up(parts, network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows are as they are
            wanted = np.asarray(getattr(parts.model, method)(rows))
    except Exception as error:  # the module's own code: anything can come
        warn(
            f"The exported file was not tried: the module fails on rows that were made up for it "
            f"({error}). Compare its predictions with those of the estimator.",
            UserWarning,
        )
        return
    for found in (run(given), run(_first(given))):
        fault = _difference(found, wanted, parts.estimator)
        if fault:
            raise ValueError(
                f"No file is written, since it would not predict as {type(parts.model).__name__}: "
                f"on made-up rows, {fault}. Does the module draw random numbers in eval mode, or "
                "do something that torch.export does not see, such as change with the number of "
                "rows?"
            )


def _difference(found: Array, wanted: Array, estimator: Any) -> str:
    """Say how predictions of the first rows differ; "" if they do not."""
    right = wanted[: len(found)]
    if found.shape != right.shape:
        return f"the result has shape {found.shape} instead of {right.shape}"
    center, scale, least = _units(estimator)
    wanted, right, seen = (_unsaturated(one, estimator) for one in (wanted, right, found))
    largest = max(least, np.abs((wanted - center) / scale).max())
    tolerance = _TOLERANCE.get(estimator.net_.precision, 1e-3)
    rounding = 2 * np.finfo(found.dtype).eps * np.abs(right)
    off = np.abs(seen - right)
    if (off <= tolerance * largest * scale + rounding).all():
        return ""
    what = "log probabilities" if _is_classifier(estimator) else "predictions"
    return f"the largest difference of {what} is {off.max():.2g}"


def _is_classifier(estimator: Any) -> bool:
    """Say whether predictions are probabilities."""
    return hasattr(estimator, "classes_")


def _units(estimator: Any) -> tuple[Any, Any, float]:
    """Return zero and one of what the module was trained to say, and its usual size if known."""
    if _is_classifier(estimator):
        return 0.0, 1.0, 1.0
    mean, scale = estimator.target_mean_, estimator.target_scale_
    return mean, scale, float(np.any(mean != 0))  # else targets may be as they were given


def _unsaturated(predictions: Array, estimator: Any) -> Array:
    """Return log probabilities, which tell apart what is almost 0; other predictions as they are.

    Of a module with one output, the first probability is 1 - p.
    """
    predictions = predictions.astype(np.float64)
    if not _is_classifier(estimator):
        return predictions
    least = np.full(predictions.shape[1], _LEAST)
    least[: len(least) - estimator._width_fitted] = _LEAST_REST
    logs: Array = np.log(np.maximum(predictions, least))
    return logs


def _made_up(parts: Parts, network: Network) -> tuple[Any, Any]:
    """Make rows, once as the file takes them and once as the model does."""
    rng = np.random.default_rng(0)
    if parts.encoder is not None:
        columns = {one.name: one.made_up() for one in network.inputs if not isinstance(one, Input)}
        given = {name: values for name, (values, _) in columns.items()}
        return given, _table(parts.encoder, {name: column for name, (_, column) in columns.items()})
    plain = [one for one in network.inputs if isinstance(one, Input)]
    arrays = {one.name: _array(one, parts, rng) for one in plain}
    rows = arrays if network.is_dict else arrays[X]
    return rows, rows


def _table(encoder: TableEncoder, columns: dict[str, Any]) -> pa.Table:
    """Make a table with the columns of fit; in those that are left out, there is anything."""
    unnamed = [f"x{i}" for i in range(encoder.n_features_in_)]
    names = list(getattr(encoder, "feature_names_in_", unnamed))
    nothing = pa.array([0.0] * _N_ROWS)
    return pa.table([columns.get(name, nothing) for name in names], names)


def _array(one: Input, parts: Parts, rng: np.random.Generator) -> Array:
    """Make values: images, or numbers like those of fit, or zeros and ones, which may be codes."""
    shape = (_N_ROWS, *one.shape)
    if one.dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    known = center_of(parts)
    if known is None:
        return rng.integers(0, 2, shape).astype(one.dtype)
    center, spread = known
    noise = rng.standard_normal((_N_ROWS, math.prod(one.shape)))
    return np.asarray((center + spread * noise).reshape(shape), one.dtype)


def _first(rows: Any) -> Any:
    """Take the first row."""
    return {name: rows[name][:1] for name in rows} if isinstance(rows, dict) else rows[:1]
