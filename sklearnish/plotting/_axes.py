"""What the pictures share: axes to draw on, colours, ticks, and what an estimator learned."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Style = dict[str, Any]
"""Keywords of matplotlib."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe and Ito (2008), "Color Universal Design": the colour-blind can tell them apart."""

FEW = 40
"""Points from which marks on a line would touch each other."""

_FEW_TICKS = 10
"""Values that can have a tick each."""

_LARGEST, _SMALLEST = 9.0, 6.0
"""Sizes of text that is fitted to its room, in points."""

_CHARACTER, _LINE = 0.6, 1.8
"""Width of a character and height of a line, as a share of the size of the font."""

_LONGEST = 20
"""Characters of the label of a tick."""

_UNEVEN = 5
"""Largest step between values over the smallest, from which an even scale hides some of them."""


def new_figure(n_axes: int = 1) -> tuple["Figure", list["Axes"]]:
    """Make a figure with axes below each other, which share what they show along x."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('Drawing needs matplotlib: pip install "sklearnish[plot]"') from error
    height = 4.8 if n_axes == 1 else 1.0 + 2.4 * n_axes
    figure, axes = plt.subplots(
        n_axes, sharex=True, squeeze=False, layout="constrained", figsize=(6.4, height)
    )
    return figure, list(axes[:, 0])


def color(i: int, n: int) -> Any:
    """Return the colour of one of n things that are drawn alike."""
    if n <= len(COLORS):
        return COLORS[i]
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.95 * i / (n - 1))


def learned(estimator: Any, name: str) -> Any:
    """Return what an estimator learned under a name; raise if it is not fitted or has no such."""
    check_is_fitted(estimator)
    value = getattr(estimator, name, None)
    if value is None:
        raise TypeError(
            f"{type(estimator).__name__} has no {name}. Give the fitted estimator "
            "of sklearnish itself: pipeline[-1], or search.best_estimator_."
        )
    return value


def size_of(ax: "Axes") -> tuple[float, float]:
    """Return width and height of the axes in inches, as a layout leaves them so far."""
    figure = ax.figure.canvas.figure
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return box.width, box.height


def text_width(characters: float, size: float) -> float:
    """Estimate how wide text of a size in points is, in inches."""
    return _CHARACTER * characters * size / 72


def text_height(lines: float, size: float) -> float:
    """Return how high lines of a size in points are, in inches."""
    return _LINE * lines * size / 72


def font_size(of_one_point: float, room: float) -> float:
    """Return the size in points of text that fits, if one point makes it so wide or high."""
    return min(_LARGEST, max(_SMALLEST, room / of_one_point))


def legend_beside(ax: "Axes", **options: Any) -> None:
    """Put the legend to the right of the axes, where it covers nothing."""
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small", **options
    )


def legend_above(ax: "Axes", handles: Sequence[Any]) -> None:
    """Put the legend over the axes, as many entries beside each other as there is room for."""
    columns = max(1, min(len(handles), int(size_of(ax)[0] / 1.1)))
    ax.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        frameon=False,
        fontsize="small",
    )


def sentences_below(ax: "Axes", text: str) -> None:
    """Write sentences under the label of the x axis."""
    note = ax.annotate(
        "",
        xy=(0, 0),
        xycoords=("axes fraction", ax.xaxis.label),
        xytext=(0, -6),
        textcoords="offset points",
        va="top",
        fontsize="small",
        parse_math=False,
    )
    across = int(size_of(ax)[0] / text_width(1, float(note.get_fontsize())))
    note.set_text(textwrap.fill(text, max(24, across)))


def places(values: Sequence[Any]) -> tuple["npt.NDArray[np.float64]", str]:
    """Say where on an axis values are, in the order given, and its scale.

    The scale is "log" where the values grow by factors, "linear" where they are spread evenly
    enough, and "category" for all else: these are put beside each other.
    """
    numbers = [_number(value) for value in values]
    if None in numbers or not np.isfinite(x := np.array(numbers, float)).all():
        return np.arange(len(values), dtype=float), "category"
    steps = np.diff(np.sort(x))
    if not len(steps):
        return x, "linear"
    if x.min() > 0 and _grows_by_factors(np.sort(x)):
        return x, "log"
    if len(x) <= _FEW_TICKS and steps.max() > _UNEVEN * steps.min():
        return np.argsort(np.argsort(x)).astype(float), "category"
    return x, "linear"


def _number(value: Any) -> float | None:
    """Return a number as a float, and None for all else."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if is_number else None


def _grows_by_factors(ascending: "npt.NDArray[np.float64]") -> bool:
    """Tell whether the logarithms are spread more evenly than the values are."""
    if len(ascending) == 2:
        return bool(ascending[1] >= _UNEVEN * ascending[0])
    return _unevenness(np.diff(np.log(ascending))) < _unevenness(np.diff(ascending))


def _unevenness(steps: "npt.NDArray[np.float64]") -> float:
    """Compute the steps' standard deviation over their mean."""
    return float(steps.std() / steps.mean())


def told(value: Any) -> str:
    """Write a value of a parameter; what is long keeps its beginning and its end."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else getattr(value, "__name__", str(value))
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half + 1 :]}"


def cut(text: str, most: int) -> str:
    """Leave out the end of a long text."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def set_ticks(
    ax: "Axes", which: str, at: "npt.NDArray[Any]", values: Sequence[Any], scale: str
) -> None:
    """Set the scale of the x or y axis, and a tick for each value if they are few."""
    ax.set(**{f"{which}scale": "log" if scale == "log" else "linear"})
    if len(values) <= _FEW_TICKS or scale == "category":
        axis, every = getattr(ax, f"{which}axis"), -(-len(values) // _FEW_TICKS)
        labels = [told(value) for value in values[::every]]
        axis.set_ticks(at[::every], labels)
        axis.set_ticks([], minor=True)
        widest = text_width(max(map(len, labels)) + 1, axis.get_ticklabels()[0].get_fontsize())
        if which == "x" and widest > size_of(ax)[0] / len(labels):
            ax.tick_params("x", rotation=20)
            ax.set_xticks(at[::every], labels, ha="right", rotation_mode="anchor")
