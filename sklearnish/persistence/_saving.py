"""save and load."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import safetensors.torch
from sklearn.base import BaseEstimator

from sklearnish.persistence import _archive
from sklearnish.persistence._nets import describe, rebuild
from sklearnish.persistence._stand_ins import Part
from sklearnish.persistence._trust import Trust, rename_all, renamed
from sklearnish.persistence._values import Decoder, Encoder


def save(estimator: Any, path: Any) -> None:
    """Save an estimator, fitted or not, to a file that holds no code.

    The file is a zip: parameters as JSON, weights as safetensors, and scikit-learn's estimators
    around ours (a Pipeline, a search) in the format of skops. Nothing is pickled. Predictions of
    the loaded estimator, and further `partial_fit`, are bit-identical.

    Your own classes and functions are stored by their import path, so they have to be
    importable. It is best to pass `module` as a class, with its arguments in `module_params`.

    Distributions of `scipy.stats` in a ``RandomizedSearchCV`` can be loaded if they were frozen
    with numbers, as in ``loguniform(1e-4, 1e-1)``. Any other distribution must be trusted when
    it is loaded; never do so for a file from a stranger, since SciPy runs text from it as code.

    Parameters
    ----------
    estimator : estimator
        An estimator of sklearnish, or one of scikit-learn's that contains some: a Pipeline,
        ColumnTransformer, search, ensemble or calibration. The parameter `checkpoint_dir`, a folder
        of this machine, is not saved.
    path : path-like
        The file to write; one of that name is replaced when the new one is whole.

    Raises
    ------
    ValueError
        If something can only be pickled: a class or function from ``__main__``, a lambda, an
        object that is more than its attributes. The message names it.
    TypeError
        If `estimator` is no estimator.

    Examples
    --------
    >>> import sklearnish as sn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sn.TorchClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> sn.save(clf, "model.sn")
    >>> bool((sn.load("model.sn").predict(X) == clf.predict(X)).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"save takes an estimator of sklearnish or scikit-learn, got {estimator!r}."
        )
    try:
        members = _members(estimator)
    except RecursionError as error:
        raise ValueError(
            f"{type(estimator).__name__} contains itself somewhere, so it cannot be saved."
        ) from error
    _archive.write_archive(path, members)


def _members(estimator: Any) -> dict[str, bytes]:
    """Turn an estimator into the members of the file."""
    from sklearnish.persistence._containers import take_out
    from sklearnish.persistence._skops import to_skops

    frame, ours = take_out(estimator)
    encoder = Encoder()
    records = [describe(one, encoder, type(one).__name__) for one in ours]
    members = {
        _archive.MODEL: json.dumps({"estimators": records}).encode(),
        _archive.TENSORS: safetensors.torch.save(encoder.tensors),
    }
    if not isinstance(frame, Part):
        members[_archive.SKOPS] = to_skops(frame)
    return members


def load(path: Any, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator that `save` wrote.

    No pickle is read, and no code imported but that of sklearnish, the layers, losses and
    optimizers of torch, scikit-learn's estimators, and what `trusted` names. An estimator that
    was fitted on a GPU is put on the CPU where there is none.

    Parameters
    ----------
    path : path-like
        The file.
    trusted : iterable of str, default=()
        Import paths of other classes and functions that the file may name, such as
        ``["my_models.Net"]``. They are imported, and called with what the file says. Where one
        is missing, the error lists what the file asks for.

    Returns
    -------
    estimator
        What was saved.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by `save`, or needs code that is not trusted.
    OSError
        If the file cannot be opened.

    Warns
    -----
    UserWarning
        If it was saved with other minor versions of torch, scikit-learn, NumPy or sklearnish.

    Examples
    --------
    >>> import sklearnish as sn
    >>> sn.save(sn.TorchRegressor(lr=0.01), "model.sn")
    >>> sn.load("model.sn")
    TorchRegressor(lr=0.01)
    """
    trust = Trust(trusted)
    with Path(path).open("rb") as file:
        try:
            return _read(file, trust)
        except Exception as error:  # a stranger's file can make any library raise anything
            reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise ValueError(f"{path} cannot be loaded: {reason}") from error


def _read(file: IO[bytes], trust: Trust) -> Any:
    """Check everything, then build."""
    from sklearnish.persistence._containers import put_back
    from sklearnish.persistence._skops import check_skops, from_skops, respelt

    members = _archive.read_archive(file)
    model = _archive.parse_json(members[_archive.MODEL], _archive.MODEL)
    rename_all(model)
    frame = respelt(members[_archive.SKOPS], renamed) if _archive.SKOPS in members else None
    trust.check(model, [] if frame is None else check_skops(frame, trust))
    decoder = Decoder(safetensors.torch.load(members[_archive.TENSORS]), trust)
    ours = [rebuild(record, decoder) for record in model["estimators"]]
    if frame is None:
        [estimator] = ours
        return estimator
    return put_back(from_skops(frame, trust), ours, {})
