"""Objects of scikit-learn around our estimators, through skops.

Our estimators are taken out first, a `Part` is left in the place of each, a `Distribution` in that
of each of SciPy's, a `Partial` in that of each functools.partial, and skops stores the rest. What
skops would build from a stranger's file is looked at before skops is asked.
"""

import copy
import functools
import importlib
import io
import re
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from sklearn import calibration, compose, feature_selection, metrics, model_selection
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch, _metadata_requests

from sklearnish.estimators._base import TorchEstimator
from sklearnish.persistence._archive import objects_in, parse_json, read_members
from sklearnish.persistence._distributions import Distribution, freeze, stand_in
from sklearnish.persistence._partials import Partial, put_together, take_apart
from sklearnish.persistence._trust import TO_NAME, Trust
from sklearnish.persistence._values import check_random_state

_SCHEMA = "schema.json"
_MEMBERS = re.compile(r"schema\.json|[0-9a-f-]+\.(npy|npz|bin)")

# skops builds some of its nodes by calling the class that they name. Each may name these alone.
_NODES = {
    "BytearrayNode": {"builtins.bytearray"},
    "BytesNode": {"builtins.bytes"},
    "DTypeNode": {"numpy.dtype"},
    "DefaultDictNode": {"collections.defaultdict"},
    "DictNode": {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"},
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "MaskedArrayNode": {"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"},
    "RandomStateNode": {"numpy.random.mtrand.RandomState"},
    "SetNode": {"builtins.set"},
    "SliceNode": {"builtins.slice"},
    "TupleNode": {"builtins.tuple"},
}
_MOST_ITEMS = 2**22
"""Items of all arrays of objects in a file, bytes of arrays that are stored as such included."""

_AUDITED = {"FunctionNode", "ObjectNode", "TypeNode"}
"""Nodes whose names skops compares with those that are trusted."""

_COMPILED = {"LossNode", "SparseMatrixNode", "TreeNode"}
"""Nodes that compiled code takes as they are; the user must trust their classes by name."""

_COMPILED_CLASSES = {"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"}
"""Objects that compiled code takes as they are, whether or not a version of skops trusts them."""


class Part:
    """Stands for an estimator of ours."""

    def __init__(self, index: int) -> None:
        self.index = index


_PART = f"{Part.__module__}.{Part.__name__}"


# Taking our estimators out, and putting them back


def take_out(model: Any) -> tuple[Any, list[TorchEstimator]]:
    """Copy a model with a Part in the place of each estimator of ours; list those."""
    found: dict[int, TorchEstimator] = {}
    seen: dict[int, Any] = {}
    _collect(model, found, seen)
    ours = list(found.values())
    copies: dict[int, Any] = {id(one): Part(i) for i, one in enumerate(ours)}
    apart = {key: parts for key, value in seen.items() if (parts := take_apart(value))}
    copies |= apart
    for value in seen.values():
        if isinstance(value, np.ma.MaskedArray) and value.dtype.hasobject:
            # It would forget the copies in its own deepcopy, and change the model's array.
            data, mask = copy.deepcopy(np.asarray(value), copies), np.array(value.mask)
            copies[id(value)] = np.ma.MaskedArray(data, mask)
        elif (distribution := stand_in(value)) is not None:
            copies[id(value)] = distribution
    for parts in apart.values():
        vars(parts).update(copy.deepcopy(vars(parts), copies))
    return copy.deepcopy(model, copies), ours


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
    return list(getattr(value, "__dict__", {}).values())


def _check(value: Any) -> None:
    """Refuse a cache of pickles, and a generator that would read beyond its state."""
    if isinstance(value, BaseEstimator) and getattr(value, "memory", None) is not None:
        raise ValueError(
            f"{type(value).__name__} has memory={value.memory!r}, a folder of pickles; "
            "set memory=None."
        )
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
    if isinstance(value, Part):
        return parts[value.index]
    if isinstance(value, Distribution):
        return freeze(value)
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = value
    _check(value)
    if isinstance(value, Partial):
        taken = (value.function, value.args, value.keywords)
        seen[id(value)] = put_together([put_back(item, parts, seen) for item in taken])
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


# skops


class _ForeignError(ValueError):
    """A node that save never writes."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"it has a {kind} of {name}, which sn.save never writes.")
        self.what = f"{name} (for skops a {kind})"


def to_skops(model: Any) -> bytes:
    """Store a model; refuse what could not be loaded."""
    from skops import io as skops

    try:
        data: bytes = skops.dumps(model)
        _check_nodes(data)
    except _ForeignError as error:
        raise ValueError(
            f"{type(model).__name__} cannot be saved without pickle: it holds {error.what}, for "
            "which the file has no form. Replace it by something that consists of estimators, "
            "text, numbers, arrays, lists, dicts, and functions and classes that can be imported."
        ) from error
    except Exception as error:  # of skops, and of the model's own methods
        raise ValueError(
            f"{type(model).__name__} cannot be saved without pickle: {error}"
        ) from error
    for name in needed(data):
        _check_importable(name)
    return data


def check_skops(data: bytes, trust: Trust) -> list[str]:
    """Look at a stranger's file before skops does; list the code that is not trusted."""
    named = _check_nodes(data) - trust.names
    return sorted(named or needed(data) - trust.names)


def from_skops(data: bytes, trust: Trust) -> Any:
    """Load a model that was checked."""
    from skops import io as skops

    return skops.loads(data, trusted=sorted(_base() | trust.names))


def needed(data: bytes) -> set[str]:
    """Name the code, beside that of scikit-learn, that a file wants to import."""
    from skops import io as skops

    return set(skops.get_untrusted_types(data=data)) - _base()


def _check_nodes(data: bytes) -> set[str]:
    """Refuse nodes that save never writes; name those that the user must trust."""
    members = read_members(io.BytesIO(data), _MEMBERS)
    schema = parse_json(members[_SCHEMA], _SCHEMA)
    if schema.get("protocol") != _protocol():
        raise ValueError(
            f"its scikit-learn part has skops protocol {schema.get('protocol')!r}; this skops "
            f"reads {_protocol()}."
        )
    named = set()
    _check_items(members)
    _check_files(schema)
    _Spread(schema, members).check()
    for node in _nodes(schema):
        kind, name = node["__loader__"], f"{node.get('__module__')}.{node.get('__class__')}"
        if kind in _COMPILED or name in _COMPILED_CLASSES:
            named.add(name)
        elif kind == "NdArrayNode":
            _check_array(node)
        elif kind not in _AUDITED and name not in _NODES.get(kind, ()):
            raise _ForeignError(kind, name)
        elif kind != "TypeNode" and name in TO_NAME:  # an instance, of whatever attributes
            named.add(name)
    return named


def _check_items(members: dict[str, bytes]) -> None:
    """Refuse arrays whose items have no bytes: a few of them can claim any number of items."""
    for name, data in members.items():
        if name.endswith(".npy") and not _item_bytes(io.BytesIO(data)):
            raise ValueError(f"its member {name!r} is an array of items of no bytes.")


def _item_bytes(file: io.BytesIO) -> int:
    """Read how many bytes an item of a .npy file has."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"its arrays have version {version} of the .npy format.")
    return int(read[version](file)[2].itemsize)


def _check_files(schema: dict[str, Any]) -> None:
    """Refuse a member that is read as two objects: a small file could ask for any number."""
    owners: dict[str, Any] = {}
    for node in _nodes(schema):
        name, owner = node.get("file"), node.get("__id__")
        if name is not None and (not owner or owners.setdefault(name, owner) != owner):
            raise ValueError(
                f"its member {str(name)[:80]!r} is used by more than one object; the limit is one."
            )


class _Spread:
    """How many items arrays of objects come to, whose lists NumPy spreads out.

    A node that has an ``__id__`` may stand for any other that has it, so the largest of them
    counts: lists that hold one another a few times over would else fill any memory.
    """

    def __init__(self, schema: dict[str, Any], members: dict[str, bytes]) -> None:
        arrays = (node for node in _nodes(schema) if node["__loader__"] == "NdArrayNode")
        self._arrays = [node for node in arrays if isinstance(node.get("content"), list)]
        self._bytes = {name: len(data) for name, data in members.items()}
        self._same: dict[Any, list[dict[str, Any]]] = {}
        self._known: dict[Any, int] = {}
        for node in _nodes(schema):
            self._same.setdefault(str(node.get("__id__")), []).append(node)

    def check(self) -> None:
        """Raise if they are more than a file of this size can honestly hold."""
        n = sum(self._inside(array) for array in self._arrays)
        if n > _MOST_ITEMS:
            raise ValueError(
                f"its arrays of objects come to {n:,} items; the limit is {_MOST_ITEMS:,}."
            )

    def _items(self, node: Any) -> int:
        """Count what a node is spread out to."""
        if not isinstance(node, dict):
            return 1
        identity = node.get("__id__")
        if not identity:
            return self._inside(node)
        if str(identity) not in self._known:
            self._known[str(identity)] = 1  # of a list within itself, of which there is one
            most = max(map(self._inside, self._same.get(str(identity), [node])))
            self._known[str(identity)] = most
        return self._known[str(identity)]

    def _inside(self, node: dict[str, Any]) -> int:
        """Count the items of a list, tuple or array; anything else is one."""
        if node.get("__loader__") not in ("ListNode", "TupleNode", "NdArrayNode"):
            return 1
        content = node.get("content")
        if isinstance(content, list):
            return 1 + sum(map(self._items, content))
        return 1 + self._bytes.get(str(node.get("file")), 0)


def _check_array(node: dict[str, Any]) -> None:
    """Refuse an array of a class that is neither an array nor a number."""
    kind = getattr(np, str(node.get("__class__")), None)
    fits = isinstance(kind, type) and issubclass(kind, np.generic | np.ndarray)
    if node.get("__module__") != "numpy" or not fits or kind is np.memmap:
        raise ValueError(f"it has an array of class {node.get('__class__')!r}.")


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of what skops wrote."""
    return (node for node in objects_in(schema) if "__loader__" in node)


@functools.cache
def _protocol() -> int:
    """Ask skops which protocol it writes."""
    from skops import io as skops

    members = read_members(io.BytesIO(skops.dumps(None)), _MEMBERS)
    return int(parse_json(members[_SCHEMA], _SCHEMA)["protocol"])


def _check_importable(name: str) -> None:
    """Refuse to save what no other program could import."""
    module, _, attribute = name.rpartition(".")
    try:
        found = module != "__main__" and hasattr(importlib.import_module(module), attribute)
    except ImportError:
        found = False
    if not found:
        raise ValueError(
            f"{name} cannot be imported by another program, so it cannot be saved without "
            "pickle. Define it at the top level of a module of its own: no lambda, no local "
            "class, nothing in __main__."
        )


@functools.cache
def _base() -> frozenset[str]:
    """Name what searches, calibration and pipelines consist of, beside public estimators."""
    scorers = metrics._scorer
    kinds = [
        *(Part, Distribution, Partial, Bunch, np.dtype, np.ma.MaskedArray),
        compose.make_column_selector,
        *(scorers._Scorer, scorers._PassthroughScorer, scorers._MultimetricScorer),
        *(scorers._CurveScorer, calibration._CalibratedClassifier),
        *(calibration._SigmoidCalibration, calibration._TemperatureScaling),
        *(getattr(model_selection, name) for name in _SPLITTERS.split()),
        *(metrics.get_scorer(name)._score_func for name in metrics.get_scorer_names()),
        *(getattr(metrics, name) for name in _METRICS.split()),
        *(getattr(feature_selection, name) for name in _SELECTION_SCORES.split()),
        *(_metadata_requests.MetadataRequest, _metadata_requests.MethodMetadataRequest),
    ]
    return TO_NAME | {f"{kind.__module__}.{kind.__name__}" for kind in kinds}


_SPLITTERS = """
    GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut
    PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold
    StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit
"""
_METRICS = """
    cohen_kappa_score d2_pinball_score d2_tweedie_score fbeta_score hamming_loss hinge_loss
    mean_pinball_loss mean_tweedie_deviance ndcg_score zero_one_loss
"""
"""Those that make no scorer of their own name, for make_scorer."""

_SELECTION_SCORES = """
    chi2 f_classif f_regression mutual_info_classif mutual_info_regression r_regression
"""
