"""Objects of scikit-learn around our estimators, through skops.

Our estimators are taken out first, a `Part` is left in the place of each, a `Distribution` in that
of each of SciPy's, a `Partial` in that of each functools.partial, and skops stores the rest.
"""

import copy
import functools
import os
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from sklearnish.data import shown
from sklearnish.estimators import CALLBACKS, TorchEstimator
from sklearnish.persistence import _stand_ins
from sklearnish.persistence._values import check_random_state

FOLDERS = frozenset({"checkpoint_dir", "memory"})
"""Parameters that make a fit write files."""


def take_out(model: Any) -> tuple[Any, list[TorchEstimator]]:
    """Copy a model with a Part in the place of each estimator of ours; list those."""
    found: dict[int, TorchEstimator] = {}
    seen: dict[int, Any] = {}
    _collect(model, found, seen)
    ours = list(found.values())
    copies: dict[int, Any] = {id(one): _stand_ins.Part(i) for i, one in enumerate(ours)}
    apart = {key: parts for key, value in seen.items() if (parts := _stand_ins.take_apart(value))}
    copies |= apart
    for value in seen.values():
        if isinstance(value, np.ma.MaskedArray) and value.dtype.hasobject:
            # It would forget the copies in its own deepcopy, and change the model's array.
            data, mask = copy.deepcopy(np.asarray(value), copies), np.array(value.mask)
            copies[id(value)] = np.ma.MaskedArray(data, mask)
        elif (distribution := _stand_ins.stand_in(value)) is not None:
            copies[id(value)] = distribution
    for parts in apart.values():
        vars(parts).update(copy.deepcopy(vars(parts), copies))
    copies |= {id(callbacks): [] for value in seen.values() if (callbacks := _callbacks(value))}
    frame = copy.deepcopy(model, copies)
    _leave_out(frame, {})
    return frame, ours


def _callbacks(value: Any) -> Any:
    """Return the list of scikit-learn's callbacks that an estimator of its has, if any."""
    return getattr(value, "__dict__", {}).get(CALLBACKS)


def _leave_out(value: Any, seen: dict[int, Any]) -> None:
    """Leave out callbacks, and the folders that a search would try, as with our estimators."""
    if id(value) not in seen:
        seen[id(value)] = value
        if _callbacks(value) is not None:
            del vars(value)[CALLBACKS]
        for key, item in folders_to_try(value):
            value[key] = _emptied(item)
        for child in _children(value):
            _leave_out(child, seen)


def _collect(value: Any, found: dict[int, TorchEstimator], seen: dict[int, Any]) -> None:
    """Find our estimators; check what is not ours."""
    if isinstance(value, TorchEstimator):
        found.setdefault(id(value), value)
    elif id(value) not in seen:
        seen[id(value)] = value
        _check(value)
        _check_no_tensor(value)
        for child in _children(value):
            _collect(child, found, seen)


def _children(value: Any) -> list[Any]:
    """List what an object consists of, as far as it may hold estimators."""
    if isinstance(value, str | bytes | type | FunctionType | BuiltinFunctionType | ModuleType):
        return []
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, np.ndarray):
        return np.asarray(value).ravel().tolist() if value.dtype == object else []
    attributes = getattr(value, "__dict__", {})
    return [child for name, child in attributes.items() if name != CALLBACKS]


def _check(value: Any) -> None:
    """Refuse what would write files, stand for something else, or read beyond its state."""
    check_no_folder(value)
    check_attributes(value)
    if isinstance(value, np.random.RandomState):
        check_random_state(value)


def _check_no_tensor(value: Any) -> None:
    """Refuse what skops cannot store."""
    if isinstance(value, torch.Tensor):
        raise ValueError(
            f"a tensor of shape {tuple(value.shape)} outside of our estimators cannot be saved "
            "without pickle. If a module or loss that a search tries has it, let the search try "
            "its class, {'module': [Net]}, and arguments, {'module__hidden': [16, 32]}; if it is "
            "data, convert it with .numpy()."
        )


def put_back(value: Any, parts: list[TorchEstimator], seen: dict[int, Any]) -> Any:
    """Put our estimators where they were."""
    if isinstance(value, _stand_ins.Part):
        return parts[value.index]
    if isinstance(value, _stand_ins.Distribution):
        return _stand_ins.freeze(value)
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = value
    _check(value)
    for key, item in folders_to_try(value):
        _refuse("a dict", key, item)
    if isinstance(value, _stand_ins.Partial):
        taken = (value.function, value.args, value.keywords)
        seen[id(value)] = _stand_ins.put_together([put_back(item, parts, seen) for item in taken])
    elif isinstance(value, tuple):
        seen[id(value)] = tuple(put_back(item, parts, seen) for item in value)
    elif isinstance(value, list):
        value[:] = [put_back(item, parts, seen) for item in value]
    elif isinstance(value, set):
        items = [put_back(item, parts, seen) for item in value]
        value.clear()
        value.update(items)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        data = np.asarray(value)  # by which no masked entry is unmasked
        for place, item in np.ndenumerate(data):
            data[place] = put_back(item, parts, seen)
    elif _children(value) and not isinstance(value, frozenset):
        attributes = value if isinstance(value, dict) else vars(value)
        for name, item in list(attributes.items()):
            attributes[name] = put_back(item, parts, seen)
    return seen[id(value)]


def check_no_folder(value: Any) -> None:
    """Refuse an object that has a folder."""
    attributes = getattr(value, "__dict__", {})
    for name in FOLDERS:
        if attributes.get(name) is not None:
            _refuse(type(value).__name__, name, attributes[name])


def folders_to_try(value: Any) -> list[tuple[str, Any]]:
    """List the folders among what a search is to try, as in ``{"clf__memory": ["folder"]}``."""
    items = value.items() if isinstance(value, dict) else ()
    return [(k, item) for k, item in items if _last(k) in FOLDERS and _may_be_a_folder(item)]


def _refuse(owner: str, name: str, folder: Any) -> None:
    """Name the folder, and the way out."""
    what = "a folder of pickles" if _last(name) == "memory" else "a folder of this machine"
    raise ValueError(
        f"{owner} has {name}={shown(str(folder))}, {what}, which is neither saved nor loaded; set "
        f"{_last(name)}=None."
    )


def _emptied(value: Any) -> Any:
    """Put None in the place of a folder, or of several."""
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [_emptied(item) for item in value]
    return None if _may_be_a_folder(value) else value


def _last(key: Any) -> str:
    """Name the parameter that a path through nested estimators ends with."""
    return key.rpartition("__")[2] if isinstance(key, str) else ""


def _may_be_a_folder(value: Any) -> bool:
    """Say whether a value, or one of several to try, could name a folder: numbers cannot."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "biufcmM" and _may_be_a_folder(value.ravel().tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_may_be_a_folder, value))
    return isinstance(value, str | bytes | os.PathLike) or hasattr(value, "cache")


def check_attributes(value: Any) -> None:
    """Refuse attributes that take the place of a method, or that Python gives a meaning.

    Such attributes are called, or believed, by code that never meant to ask a file: for a link in
    a notebook, for the module that a class is imported from.
    """
    kind = type(value)
    if not kind.__module__.startswith(("sklearn.", "sklearnish.")):
        return
    for name in getattr(value, "__dict__", {}):
        plain = name in getattr(kind, "_parameters", ())  # whose defaults the class holds
        taken = hasattr(kind, str(name)) and not isinstance(getattr(kind, name), int | float)
        if not isinstance(name, str) or name.startswith("__") or (taken and not plain):
            raise ValueError(f"it sets {name!r} of a {kind.__name__}, which sn.save never does.")
