"""Labels that are attached to a view before training: as numbers, or as what stands for them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sklearnish.data._views.labels import OwnLabels
from sklearnish.data._views.view import View

V = TypeVar("V", bound=View)
Encode = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def hold_labels(view: V) -> V:
    """Attach labels and weights that are columns, text as numbers: workers read neither."""
    if not view.source.tabular:
        return view
    if view._target.names:
        labels = view.target
        assert labels is not None
        if labels.ndim > 1:
            labels = labels.astype(str(view._inputs.dtype).removeprefix("torch."))
        elif labels.dtype.kind not in "biuf":
            labels = np.searchsorted(view.classes, labels)
        view = view.with_target(labels)
    return view.with_weight(view.weight) if view._weight.names else view


def with_codes(view: V, codes: npt.NDArray[Any], encode: Encode | None = None) -> V:
    """Attach what stands for the labels that a view has, which go on coming with its rows."""
    own = view._target.own
    if own is None and view.source.makes_labels and len(view._target.names) == 1:
        values = view.target
        assert values is not None
        is_text = values.dtype.kind not in "biuf"
        own = OwnLabels(values, view.classes if is_text else None)
    if own is not None and encode is not None:
        own = replace(own, encode=encode)
    view = view.with_target(codes)
    return replace(view, _target=replace(view._target, own=own))
