"""Objects of scikit-learn as skops stores them.

What skops would build from a stranger's file is looked at before skops is asked.
"""

import functools
import importlib
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import calibration, compose, feature_selection, metrics, model_selection
from sklearn.utils import Bunch, _metadata_requests
from skops import io as skops

from sklearnish.persistence import _trust as names
from sklearnish.persistence._archive import parse_json, read_members, write_members
from sklearnish.persistence._nodes import check_sizes, nodes
from sklearnish.persistence._trust import OURS, TO_NAME, Trust, dotted

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
_AUDITED = {"FunctionNode", "ObjectNode", "TypeNode"}
"""Nodes whose names skops compares with those that are trusted."""

_COMPILED = {"LossNode", "SparseMatrixNode", "TreeNode"}
"""Nodes that compiled code takes as they are; the user must trust their classes by name."""

_COMPILED_CLASSES = {"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"}
"""Objects that compiled code takes as they are, whether or not a version of skops trusts them."""


class _ForeignError(ValueError):
    """A node that save never writes."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"it has a {kind} of {name}, which sn.save never writes.")
        self.what = f"{name} (for skops a {kind})"


def to_skops(model: Any) -> bytes:
    """Store a model; refuse what could not be loaded."""
    try:
        data = respelt(skops.dumps(model), _as_files_do)
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
    for name in needed(data) - set(map(dotted, OURS)):
        _check_importable(name)
    return data


def check_skops(data: bytes, trust: Trust) -> list[str]:
    """Look at a stranger's file before skops does; list the code that is not trusted."""
    named = _check_nodes(data) - trust.names
    return sorted(named or needed(data) - trust.names)


def from_skops(data: bytes, trust: Trust) -> Any:
    """Load a model that was checked."""
    trusted = _base() | trust.names
    here = {dotted(names.path_of(name)) for name in OURS if dotted(name) in trusted}
    return skops.loads(respelt(data, names.path_of), trusted=sorted(trusted | here))


def respelt(data: bytes, spelling: Callable[[str], str]) -> bytes:
    """Change how what skops wrote names classes and functions."""
    members = read_members(io.BytesIO(data), _MEMBERS)
    schema = parse_json(members[_SCHEMA], _SCHEMA)
    for node in nodes(schema):
        name = f"{node.get('__module__')}:{node.get('__class__')}"
        if (other := spelling(name)) != name:
            node["__module__"], node["__class__"] = other.split(":")
    file = io.BytesIO()
    write_members(file, members | {_SCHEMA: json.dumps(schema).encode()})
    return file.getvalue()


def _as_files_do(path: str) -> str:
    """Name what skops names by the module that it is in."""
    ours = path.startswith("sklearnish.")
    return names.name_of(names.find(path), "a part of it") if ours else path


def needed(data: bytes) -> set[str]:
    """Name the code, beside that of scikit-learn, that a file wants to import."""
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
    check_sizes(schema, members)
    for node in nodes(schema):
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


def _check_array(node: dict[str, Any]) -> None:
    """Refuse an array of a class that is neither an array nor a number."""
    kind = getattr(np, str(node.get("__class__")), None)
    fits = isinstance(kind, type) and issubclass(kind, np.generic | np.ndarray)
    if node.get("__module__") != "numpy" or not fits or kind is np.memmap:
        raise ValueError(f"it has an array of class {node.get('__class__')!r}.")


@functools.cache
def _protocol() -> int:
    """Ask skops which protocol it writes."""
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
        *(*names.STAND_INS, *names.AROUND_SKLEARN, Bunch, np.dtype, np.ma.MaskedArray),
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
    return TO_NAME | {dotted(names.spell(kind)) for kind in kinds}


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
