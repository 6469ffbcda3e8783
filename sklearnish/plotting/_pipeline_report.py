"""An image of where the time of a fit went."""

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearnish.data import PipelineReport
from sklearnish.plotting import _axes

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {"compute": "#0072b2", "transfer": "#56b4e9", "wait": "#d55e00"}
"""Parts of an epoch, from the bottom up: blues for work, and another colour for waiting."""

_SEEN = 0.01
"""Share of the time from which a part of it can be seen."""


class PipelineReportDisplay:
    """Where the time of a fit went, epoch by epoch.

    Each epoch is a bar of the seconds of computing, of transfer to the device and of waiting for
    data, which add up to the epoch. A line over the bars shows for how many seconds readers read
    rows and applied functions to them, summed over all readers: they may do so while the model
    is trained. Use :meth:`from_estimator` or :meth:`from_report` to make one.

    Parameters
    ----------
    report : PipelineReport
        What is drawn, ``pipeline_report_`` of a fitted estimator.

    Attributes
    ----------
    report : PipelineReport
        What is drawn.
    ax_ : matplotlib Axes
        The axes with the bars, once drawn.
    figure_ : matplotlib Figure
        The figure containing them.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> X = np.random.default_rng(0).normal(size=(500, 4))
    >>> clf = sn.TorchClassifier(max_epochs=3, random_state=0).fit(X, X[:, 0] > 0)
    >>> display = sn.plotting.PipelineReportDisplay.from_estimator(clf)
    >>> display.ax_.get_xlabel()
    'Epoch'
    """

    ax_: "Axes"
    figure_: "Figure"

    def __init__(self, *, report: PipelineReport) -> None:
        self.report = report

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None) -> "PipelineReportDisplay":
        """Draw the report of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of sklearnish, the last step of a pipeline for example.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. One of yours needs ``layout="constrained"``, which
            makes room for the legend beside the axes and the sentences below.

        Returns
        -------
        PipelineReportDisplay
            What was drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator keeps no report.
        """
        return cls.from_report(_axes.learned(estimator, "pipeline_report_"), ax=ax)

    @classmethod
    def from_report(
        cls, report: PipelineReport, *, ax: "Axes | None" = None
    ) -> "PipelineReportDisplay":
        """Draw a report.

        Parameters
        ----------
        report : PipelineReport
            Of a fit, or of ``predict_to``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. One of yours needs ``layout="constrained"``, which
            makes room for the legend beside the axes and the sentences below.

        Returns
        -------
        PipelineReportDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If it is something else.
        ValueError
            If it has no epochs.
        ImportError
            If matplotlib is not installed.
        """
        if not isinstance(report, PipelineReport):
            raise TypeError(
                f"report must be a PipelineReport, an estimator's pipeline_report_, not "
                f"{type(report).__name__}."
            )
        return cls(report=report).plot(ax)

    def plot(self, ax: "Axes | None" = None) -> "PipelineReportDisplay":
        """Draw the report.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. One of yours needs ``layout="constrained"``, which
            makes room for the legend beside the axes and the sentences below.

        Returns
        -------
        PipelineReportDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If the report has no epochs.
        ImportError
            If matplotlib is not installed.
        """
        if not self.report.epochs:
            raise ValueError("The report has no epochs yet: nothing can be drawn.")
        self.ax_ = _axes.new_figure()[1][0] if ax is None else ax
        self.figure_ = self.ax_.figure  # type: ignore[assignment]
        self._draw_epochs()
        self._draw_readers()
        self._label()
        return self

    def _seconds(self, part: str) -> "npt.NDArray[np.float64]":
        """Seconds of each epoch that went into one thing."""
        return np.array([getattr(times, part) for times in self.report.epochs])

    def _draw_epochs(self) -> None:
        """Draw the parts of each epoch on top of each other."""
        numbers = 1 + np.arange(len(self.report.epochs))
        bottom = np.zeros(len(numbers))
        for part, color in _COLORS.items():
            seconds = self._seconds(part)
            seen = seconds.sum() > _SEEN * self._seconds("seconds").sum()
            label = part if seen or part != "transfer" else f"_{part}"  # _ leaves the legend out
            self.ax_.bar(numbers, seconds, 0.8, bottom, color=color, label=label)
            bottom += seconds

    def _draw_readers(self) -> None:
        """Draw how long readers were busy."""
        read, transform = self._seconds("read"), self._seconds("transform")
        numbers = 1 + np.arange(len(read))
        ink, ground = self.ax_.xaxis.label.get_color(), self.ax_.get_facecolor()
        style: _axes.Style = {
            "color": ink,
            "linewidth": 1,
            "markersize": 5,
            "markeredgecolor": ground,
        }
        few = len(numbers) <= _axes.FEW
        self.ax_.plot(numbers, read, "o-" if few else "-", label="readers: read", **style)
        if transform.any():
            line = "s--" if few else "--"
            self.ax_.plot(numbers, read + transform, line, label="+ transform", **style)

    def _label(self) -> None:
        """Write what share was waiting, what to do about it, axes and legend."""
        from matplotlib.ticker import MaxNLocator

        ax = self.ax_
        ax.set(xlabel="Epoch", ylabel="Seconds", xlim=(0.4, len(self.report.epochs) + 0.6))
        ax.set_title(f"Waiting for data: {self.report.wait_share:.0%} of the time", loc="left")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _axes.legend_beside(ax, reverse=True)
        _axes.sentences_below(ax, self.report.bottleneck)
