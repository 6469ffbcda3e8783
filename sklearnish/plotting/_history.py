"""Loss and scores of each epoch, of one fit or of several."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearnish.plotting import _axes

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_SPLITS = {"train": ("--", "training"), "valid": ("-", "validation"), "": (":", "by callbacks")}
"""How records begin that are of training rows, of validation rows, and of neither: line, name."""

_NO_METRIC = ("epoch", "dur", "lr", "wait")
"""What a record holds beside losses and scores."""

_DECADES = 2.0
"""Decades that a loss falls through, from which its axis is logarithmic."""

Records = Sequence[Mapping[str, Any]]


class HistoryDisplay:
    """Loss and scores by epoch, of one fit or of several side by side.

    Each metric has its own axes, below each other. Training rows are a dashed line, validation
    rows a solid one; a dot marks the epoch whose weights were kept. Use :meth:`from_estimator` to
    make one.

    Parameters
    ----------
    histories : dict of str to list of dict
        For each fit, by its name, a record per epoch: ``history_`` of a fitted estimator.
    best_epochs : dict of str to int
        For each fit the epoch whose weights were kept, from 1; none is marked for fits that are
        not named.

    Attributes
    ----------
    histories, best_epochs : dict
        What is drawn.
    metrics : list of str
        The losses and scores of these fits: "loss", then others such as "accuracy".
    ax_ : matplotlib Axes
        The axes with the first metric, once drawn.
    axes_ : list of matplotlib Axes
        All axes, one for each metric drawn.
    figure_ : matplotlib Figure
        The figure containing them.
    lines_ : list of matplotlib Line2D
        The lines, metric by metric, and in each fit by fit.
    best_ : list of matplotlib Line2D
        The dots that mark the epochs kept.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> X = np.random.default_rng(0).normal(size=(500, 4))
    >>> clf = sn.TorchClassifier(max_epochs=5, early_stopping=True, monitor="accuracy")
    >>> display = sn.plotting.HistoryDisplay.from_estimator(clf.fit(X, X[:, 0] > 0))
    >>> display.metrics
    ['loss', 'accuracy']
    """

    ax_: "Axes"
    axes_: "list[Axes]"
    figure_: "Figure"
    lines_: "list[Line2D]"
    best_: "list[Line2D]"

    def __init__(
        self, *, histories: Mapping[str, Records], best_epochs: Mapping[str, int] | None = None
    ) -> None:
        self.histories = dict(histories)
        self.best_epochs = dict(best_epochs or {})

    @property
    def metrics(self) -> list[str]:
        """Losses and scores that some of the fits recorded."""
        keys = [
            key
            for history in self.histories.values()
            for record in history[:1]
            for key, value in record.items()
            if _is_metric(key, value)
        ]
        names = dict.fromkeys(_metric(key) for key in keys)
        return sorted(names, key=lambda name: name != "loss")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metrics: str | Sequence[str] | None = None,
        ax: "Axes | Sequence[Axes] | None" = None,
    ) -> "HistoryDisplay":
        """Draw the epochs of a fitted estimator, or of several.

        Parameters
        ----------
        estimator : estimator, list of estimators or dict of str to estimator
            Fitted estimators of sklearnish, the last step of a pipeline for example. The names of
            a dict are those of the legend; fits of a list are numbered.
        metrics : str or sequence of str, default=None
            Which of the losses and scores to draw; None draws all.
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each metric; None makes a figure. One of yours needs
            ``layout="constrained"``, which makes room for the legend beside the axes.

        Returns
        -------
        HistoryDisplay
            What was drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If an estimator is not fitted.
        TypeError
            If an estimator keeps no history.
        ValueError
            If there is no such metric, no estimator, or another number of axes than of metrics.
        ImportError
            If matplotlib is not installed.
        """
        fits = _named(estimator)
        histories = {name: _axes.learned(fit, "history_") for name, fit in fits.items()}
        best = {name: fit.net_.best_epoch_ for name, fit in fits.items() if hasattr(fit, "net_")}
        return cls(histories=histories, best_epochs=best).plot(ax, metrics=metrics)

    def plot(
        self,
        ax: "Axes | Sequence[Axes] | None" = None,
        *,
        metrics: str | Sequence[str] | None = None,
    ) -> "HistoryDisplay":
        """Draw the epochs.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each metric; None makes a figure. One of yours needs
            ``layout="constrained"``, which makes room for the legend beside the axes.
        metrics : str or sequence of str, default=None
            Which of the losses and scores to draw; None draws all.

        Returns
        -------
        HistoryDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If there is no such metric, no fit, or another number of axes than of metrics.
        ImportError
            If matplotlib is not installed.
        """
        drawn = self._chosen(metrics)
        axes = _axes.new_figure(len(drawn))[1] if ax is None else [*np.ravel(np.asarray(ax))]
        if len(axes) != len(drawn):
            raise ValueError(
                f"{len(axes)} axes were given for {len(drawn)} metrics ({', '.join(drawn)}). Pass "
                "one for each, or choose with metrics=."
            )
        self.axes_, self.ax_ = axes, axes[0]
        self.figure_ = axes[0].figure  # type: ignore[assignment]
        self.lines_, self.best_ = [], []
        for metric, on in zip(drawn, axes, strict=True):
            self._draw(metric, on)
        self._label()
        return self

    def _chosen(self, metrics: str | Sequence[str] | None) -> list[str]:
        """Return the metrics to draw."""
        known = self.metrics
        if not known:
            raise ValueError("There is no epoch to draw: pass at least one fitted estimator.")
        chosen = known if metrics is None else [metrics] if isinstance(metrics, str) else [*metrics]
        if unknown := [name for name in chosen if name not in known]:
            raise ValueError(
                f"metrics has {unknown[0]!r}, which no fit recorded. Recorded are: "
                f"{', '.join(known)}."
            )
        return chosen or known

    def _draw(self, metric: str, ax: "Axes") -> None:
        """Draw one metric of all fits."""
        drawn = []
        for fit, (name, history) in enumerate(self.histories.items()):
            lines = [
                self._line(ax, values, style, color=self._color(fit, split), label=name)
                for split, (start, (style, _)) in enumerate(_SPLITS.items())
                if np.isfinite(values := _values(history, start, metric)).any()
            ]
            if lines and name in self.best_epochs:
                self._mark(ax, lines[-1], self.best_epochs[name])
            drawn += lines
        self.lines_ += drawn
        ax.set_ylabel(metric.replace("_", " ").capitalize())
        if metric == "loss" and drawn and _falls_far([line.get_ydata() for line in drawn]):
            ax.set_yscale("log")

    def _color(self, fit: int, split: int) -> Any:
        """Give each fit its colour; if there is only one, each of its lines."""
        several = len(self.histories) > 1
        return _axes.color(fit, len(self.histories)) if several else _axes.COLORS[split]

    def _line(
        self, ax: "Axes", values: "npt.NDArray[np.float64]", style: str, **options: Any
    ) -> "Line2D":
        """Draw the numbers of all epochs; a few have a mark each."""
        marker = "." if len(values) <= _axes.FEW else ""
        return ax.plot(1 + np.arange(len(values)), values, style, marker=marker, **options)[0]

    def _mark(self, ax: "Axes", line: "Line2D", epoch: int) -> None:
        """Mark the epoch whose weights were kept on the line of validation, if there is one."""
        value = np.asarray(line.get_ydata())[epoch - 1]
        style: _axes.Style = {"markersize": 9, "markeredgecolor": ax.get_facecolor(), "zorder": 3}
        self.best_ += ax.plot(epoch, value, "o", color=line.get_color(), **style)

    def _label(self) -> None:
        """Write the label of the epochs, and the legend."""
        from matplotlib.ticker import MaxNLocator

        for ax in self.axes_:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.axes_[-1].set_xlabel("Epoch")
        _axes.legend_beside(self.ax_, handles=self._legend())

    def _legend(self) -> "list[Line2D]":
        """Make an entry for each fit if there are several, for the rows, and for the dots."""
        from matplotlib.lines import Line2D

        several, ink = len(self.histories) > 1, self.ax_.xaxis.label.get_color()
        fits = [
            Line2D([], [], color=self._color(i, 0), label=name)
            for i, name in enumerate(self.histories)
            if several
        ]
        styles = {line.get_linestyle() for line in self.lines_}
        splits = [
            Line2D([], [], linestyle=style, color=ink if several else _axes.COLORS[i], label=name)
            for i, (style, name) in enumerate(_SPLITS.values())
            if style in styles
        ]
        dot = Line2D([], [], linestyle="", marker="o", color=ink, label="weights kept")
        return [*fits, *splits, *([dot] if self.best_ else [])]


def _named(estimator: Any) -> dict[str, Any]:
    """Give each fit its name."""
    if isinstance(estimator, Mapping):
        return {str(name): fit for name, fit in estimator.items()}
    fits = estimator if isinstance(estimator, list | tuple) else [estimator]
    return {f"fit {i}": fit for i, fit in enumerate(fits, 1)}


def _is_metric(key: str, value: Any) -> bool:
    """Tell a loss or score from all else that a record holds."""
    return key not in _NO_METRIC and isinstance(value, Real) and not isinstance(value, bool)


def _metric(key: str) -> str:
    """Return "loss" for "train_loss" and "valid_loss"."""
    rows, _, name = key.partition("_")
    return name if name and rows in _SPLITS else key


def _values(history: Records, rows: str, metric: str) -> "npt.NDArray[np.float64]":
    """Return a metric of each epoch, NaN where it was not recorded."""
    key = f"{rows}_{metric}" if rows else metric
    return np.array([record.get(key, np.nan) for record in history], dtype=np.float64)


def _falls_far(lines: list[Any]) -> bool:
    """Tell whether numbers differ so much that a logarithmic axis shows them better."""
    values = np.concatenate(lines)
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and np.log10(values.max() / values.min()) > _DECADES)
