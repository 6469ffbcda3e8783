"""export: a fitted estimator as a file that predicts without sklearnish."""

from functools import partial
from importlib.metadata import version
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from sklearnish.data import atomic_path, warn
from sklearnish.estimators import STEP
from sklearnish.persistence._exporting.model_parts import Parts, parts_of
from sklearnish.persistence._exporting.network import Network
from sklearnish.persistence._exporting.onnx_file import check_installed, onnx_bytes, onnx_runner
from sklearnish.persistence._exporting.torch_file import torch_bytes, torch_runner
from sklearnish.persistence._exporting.trial import check_predictions


def export(estimator: Any, path: Any) -> None:
    """Write a fitted estimator as a graph that predicts without sklearnish.

    An ``.onnx`` file runs where onnxruntime does, without Python if need be; a ``.pt2`` file is one
    of ``torch.export``. Both take any number of rows and hold everything between the rows and the
    result: the scaling of inputs, scikit-learn's scalers in a Pipeline, the encoding of a table's
    columns, the members of an ensemble, probabilities of logits, the scale of a regressor's
    targets. Before the file appears it is run on made-up rows, and must predict as the estimator.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier or regressor of sklearnish; a Pipeline that ends with one, and has
        StandardScaler, MinMaxScaler, MaxAbsScaler and RobustScaler before it, also in a `Streamed`,
        or a `TableEncoder` as its first step; or a search, alone or in a Pipeline, of which the
        best estimator is written.
    path : path-like
        The file to write, named ``.onnx`` or ``.pt2``; one of that name is replaced when the new
        one is whole.

    Raises
    ------
    ValueError
        If the name ends otherwise, a step or column cannot be part of a graph, a column of an
        ``.onnx`` file has empty text and missing values, a search was fitted without ``refit``,
        torch cannot make a graph of the module, or the file does not predict as the estimator.
    TypeError
        If `estimator` is none of the above.
    NotFittedError
        If it is not fitted.
    ImportError
        If onnx, onnxscript or onnxruntime is missing, for an ``.onnx`` file:
        ``pip install "sklearnish[onnx]"``.

    Warns
    -----
    UserWarning
        If rows of `fit` passed through functions (``ds.map`` and the like), which are not in the
        file: it takes rows as these return them. (`augment` changes rows of training alone.)

    Notes
    -----
    The result is "probabilities", of shape (n_rows, n_classes), as of `predict_proba`; or
    "prediction", as of `predict`, in the precision of the weights, or float64 where predictions of
    a DataFrame of one target are. Half precisions are exported as float32.

    The input is "X", as the module takes it: float32, float64 behind scalers of a Pipeline and
    where float32 would round inputs by much, uint8 for such images; of a module of several inputs,
    each by its name. The size of images is that of `fit`.

    Of a table, each column that is used is an input by its name, of shape (n_rows,):

    - numbers: float64, NaN where one is missing; bool as 0 and 1, durations in seconds;
    - dates: float64, seconds since 1970-01-01 00:00 of the clocks in the column's time zone; NaN
      where one is missing;
    - text of few values: strings, "" where one is missing. Where "" is one of the levels, it means
      itself, and no value of `fit` may be missing. In a ``.pt2`` file, int64: 0 for values that are
      unknown, 1 for the first of the levels, and so on, then one for what is missing;
    - lists: float64, of shape (n_rows, length).

    Free text cannot be exported.

    What else is to be known is JSON, in an ONNX file under these names in its metadata, in a
    ``.pt2`` file in the extra file ``sklearnish.json``: "estimator" (its class), "method" (whose
    result it is), "result" (its name), "classes", "feature_names", "inputs" (type, kind and levels
    of each), and "sklearnish" (the version).

    Examples
    --------
    >>> import torch
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sn.TorchClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> sn.export(clf, "iris.pt2")
    >>> model = torch.export.load("iris.pt2").module()
    >>> model(torch.tensor(X[:2], dtype=torch.float32)).shape
    torch.Size([2, 3])
    """
    is_onnx = _suffix(path) == ".onnx"
    if is_onnx:
        check_installed()
    parts = parts_of(estimator)
    network = Network(parts)
    _warn_of_functions(parts)
    write = onnx_bytes if is_onnx else torch_bytes
    run = onnx_runner if is_onnx else partial(torch_runner, network=network)
    about = _about(parts, network)
    data = write(network, about)
    check_predictions(run(data), parts, network, about["method"])
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _suffix(path: Any) -> str:
    """Return how the name of a file ends.

    Raises
    ------
    ValueError
        If that is no format.
    """
    suffix = Path(path).suffix if isinstance(path, str | PathLike) else ""
    if suffix not in (".onnx", ".pt2"):
        shown = fspath(path) if isinstance(path, PathLike) else path
        raise ValueError(
            f"path={shown!r} must end with .onnx, for onnxruntime and other programs, or .pt2, for "
            "torch.export.load."
        )
    return suffix


def _about(parts: Parts, network: Network) -> dict[str, Any]:
    """Say what is to be known of a file."""
    estimator = parts.estimator
    names = getattr(parts.model, "feature_names_in_", None)
    classes = getattr(estimator, "classes_", None)
    return {
        "estimator": type(estimator).__name__,
        "method": "predict" if classes is None else "predict_proba",
        "result": estimator._result,
        "classes": None if classes is None else _plain(classes),
        "feature_names": None if names is None else _plain(names),
        "inputs": [
            {"name": one.name, "type": one.dtype, "shape": one.shape, **one.about}
            for one in network.inputs
        ],
        "sklearnish": version("sklearnish"),
    }


def _plain(values: Any) -> list[Any]:
    """Return labels as JSON has them; others than numbers and texts as they are shown."""
    listed = np.asarray(values).tolist()
    return [one if isinstance(one, str | int | float | bool) else str(one) for one in listed]


def _warn_of_functions(parts: Parts) -> None:
    """Tell which functions of rows are not in the file."""
    known = (STEP,) if parts.scalings or parts.model is not parts.estimator else ()
    names = [name for name in parts.estimator._functions if name not in known]
    if names:
        warn(
            f"The rows of fit passed through {', '.join(names)}, which is not in the file: give it "
            "rows as they come out of that.",
            UserWarning,
        )
