"""An image of where the time of a fit went."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearnish.data import PipelineReport

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {"compute": "#0072b2", "transfer": "#e69f00", "wait": "#d55e00"}
"""Parts of an epoch, from the bottom up, in colours that the colour-blind can tell apart."""

_MANY = 40
"""Epochs from which marks on a line would touch each other."""


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
            Where to draw; None makes a figure.

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
        check_is_fitted(estimator)
        report = getattr(estimator, "pipeline_report_", None)
        if report is None:
            raise TypeError(
                f"{type(estimator).__name__} has no pipeline_report_. Give the fitted estimator "
                "of sklearnish itself: pipeline[-1], or search.best_estimator_."
            )
        return cls.from_report(report, ax=ax)

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
            Where to draw; None makes a figure.

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
            Where to draw; None makes a figure.

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
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure  # type: ignore[assignment]
        highest = max(self._draw_epochs(), self._draw_readers())
        self._label(highest)
        return self

    def _seconds(self, part: str) -> "npt.NDArray[np.float64]":
        """Seconds of each epoch that went into one thing."""
        return np.array([getattr(times, part) for times in self.report.epochs])

    def _draw_epochs(self) -> float:
        """Draw the parts of each epoch on top of each other; return the highest sum."""
        numbers = 1 + np.arange(len(self.report.epochs))
        bottom = np.zeros(len(numbers))
        for part, color in _COLORS.items():
            seconds = self._seconds(part)
            if seconds.any() or part != "transfer":
                self.ax_.bar(numbers, seconds, 0.8, bottom, color=color, label=part)
            bottom += seconds
        return float(bottom.max())

    def _draw_readers(self) -> float:
        """Draw how long readers were busy; return the highest sum."""
        read, transform = self._seconds("read"), self._seconds("transform")
        numbers = 1 + np.arange(len(read))
        style: dict[str, Any] = {
            "color": "black",
            "linewidth": 1,
            "markersize": 5,
            "markeredgecolor": "white",
        }
        few = len(numbers) <= _MANY
        self.ax_.plot(numbers, read, "o-" if few else "-", label="readers: read", **style)
        if transform.any():
            line = "s--" if few else "--"
            self.ax_.plot(numbers, read + transform, line, label="+ transform", **style)
        return float((read + transform).max())

    def _label(self, highest: float) -> None:
        """Write title, axes and legend, each where nothing else is."""
        from matplotlib.ticker import MaxNLocator

        ax = self.ax_
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        title = textwrap.fill(self.report.bottleneck, max(20, int(14 * box.width)))
        columns = max(1, int(box.width / 1.1))
        rows = -(-len(ax.get_legend_handles_labels()[0]) // columns)
        # The share of the axes that the legend takes, once a layout has made room for the title.
        room = min(0.7, (0.2 + 0.2 * rows) / (box.height - 0.15 * len(title.splitlines())))
        ax.set(xlabel="Epoch", ylabel="Seconds", xlim=(0.4, len(self.report.epochs) + 0.6))
        shared = len(ax.get_shared_y_axes().get_siblings(ax)) > 1
        ax.set_ylim(0, max(highest / (1 - room), ax.get_ylim()[1] if shared else 0) or 1)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.legend(loc="upper center", ncols=columns, fontsize="small", frameon=False)
        ax.set_title(title, loc="left", fontsize="medium", parse_math=False)


def _new_axes() -> "Axes":
    """Make a figure with one pair of axes."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('Drawing needs matplotlib: pip install "sklearnish[plot]"') from error
    return plt.subplots(layout="constrained")[1]
