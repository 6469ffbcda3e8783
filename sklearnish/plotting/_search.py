"""Score and time of the candidates of a search, over one parameter or two."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearnish.plotting import _axes
from sklearnish.plotting._candidates import Candidates, metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

_RING: _axes.Style = {"linestyle": "", "marker": "o", "markersize": 13, "markerfacecolor": "none"}
"""What marks the best candidate."""

_MOST_CELLS = 64
"""Cells of a heat map in which there is room for numbers."""

_LEAST, _MOST = 20.0, 130.0
"""Areas of dots, in square points."""

_FULL = 0.5
"""Share of pairs of values that were tried, from which a heat map shows them."""


class SearchDisplay:
    """Score and fit time of the candidates of a search, over one parameter or two.

    Over one parameter, the mean score is a solid line and the mean fit time a dashed one, with the
    time at the right; bars are the standard deviations over the folds. A successive halving has a
    line for each iteration. Over two parameters, a heat map shows the mean score in colours and
    numbers, with the fit time below it; pairs of values drawn at random are dots, whose areas
    are the fit times. Axes are logarithmic where values grow by factors. The best candidate is
    marked. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    results : dict of str to array
        ``cv_results_`` of a fitted search.
    params : str or sequence of str, default=None
        One or two of its parameters; None takes those that have more than one value. If others
        were varied too, the best score for each value or pair of values is drawn.
    metric : str, default="score"
        Which score, as ``mean_test_<metric>`` is called.
    score_name : str, default=None
        What to call the score; None takes `metric`.
    resource : str, default=None
        What a successive halving gives more of in each iteration.

    Attributes
    ----------
    results, params, metric, score_name, resource : object
        What was given.
    ax_ : matplotlib Axes
        The axes with the scores, once drawn.
    time_ax_ : matplotlib Axes or None
        The axes of the fit times, which share x with `ax_`; None for two parameters.
    figure_ : matplotlib Figure
        The figure containing them.
    errorbar_, time_errorbar_ : list of matplotlib ErrorbarContainer
        Scores and fit times over one parameter, a line for each iteration.
    image_ : matplotlib AxesImage or None
        The heat map of two parameters.
    points_ : matplotlib PathCollection or None
        The dots of two parameters.
    texts_ : list of matplotlib Text
        The numbers in the cells of the heat map.
    best_ : matplotlib Line2D or Rectangle
        What marks the best candidate.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> from sklearn.model_selection import GridSearchCV
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> clf = sn.TorchClassifier(max_epochs=2, random_state=0)
    >>> search = GridSearchCV(clf, {"batch_size": [16, 64]}, cv=2).fit(X, X[:, 0] > 0)
    >>> display = sn.plotting.SearchDisplay.from_estimator(search)
    >>> display.ax_.get_xlabel()
    'batch_size'
    """

    ax_: "Axes"
    time_ax_: "Axes | None"
    figure_: "Figure"
    errorbar_: "list[ErrorbarContainer]"
    time_errorbar_: "list[ErrorbarContainer]"
    image_: "AxesImage | None"
    points_: "PathCollection | None"
    texts_: "list[Text]"
    best_: "Line2D | Rectangle"

    def __init__(
        self,
        *,
        results: dict[str, Any],
        params: str | Sequence[str] | None = None,
        metric: str = "score",
        score_name: str | None = None,
        resource: str | None = None,
    ) -> None:
        self.results = results
        self.params = params
        self.metric = metric
        self.score_name = score_name
        self.resource = resource

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        params: str | Sequence[str] | None = None,
        metric: str | None = None,
        ax: "Axes | None" = None,
    ) -> "SearchDisplay":
        """Draw the candidates of a fitted search.

        Parameters
        ----------
        estimator : GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV or HalvingRandomSearchCV
            A fitted search.
        params : str or sequence of str, default=None
            One or two of its parameters; None takes those that have more than one value. If
            others were varied too, the best score for each value or pair of values is drawn.
        metric : str, default=None
            Which score, if `scoring` names several; None takes the one that `refit` names.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. One of yours needs ``layout="constrained"``, which
            makes room for legend and sentences outside of the axes.

        Returns
        -------
        SearchDisplay
            What was drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the search is not fitted.
        TypeError
            If it is no search.
        ValueError
            If there is no such parameter or metric, there are several metrics or more than two
            parameters to choose from, no candidate has both parameters, or all fits failed.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        results = getattr(estimator, "cv_results_", None)
        if results is None:
            raise TypeError(
                f"{type(estimator).__name__} has no cv_results_. Give a fitted search: "
                "GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV or HalvingRandomSearchCV."
            )
        metric = _main_metric(results, estimator.refit) if metric is None else metric
        scoring = estimator.scoring
        name = scoring if isinstance(scoring, str) and metric == "score" else metric
        resource = getattr(estimator, "resource", None)
        return cls(
            results=results, params=params, metric=metric, score_name=name, resource=resource
        ).plot(ax)

    def plot(self, ax: "Axes | None" = None) -> "SearchDisplay":
        """Draw the candidates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. One of yours needs ``layout="constrained"``, which
            makes room for legend and sentences outside of the axes.

        Returns
        -------
        SearchDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If there is no such parameter or metric, there are more than two parameters to choose
            from, no candidate has both parameters, or all fits failed.
        ImportError
            If matplotlib is not installed.
        """
        candidates = Candidates.of(self.results, self.params, self.metric)
        self.ax_ = _axes.new_figure()[1][0] if ax is None else ax
        self.figure_ = self.ax_.figure  # type: ignore[assignment]
        self.errorbar_, self.time_errorbar_, self.texts_ = [], [], []
        self.time_ax_ = self.image_ = self.points_ = None
        if len(candidates.params) == 1:
            self._draw_lines(candidates)
        elif _is_grid(candidates):
            self._draw_cells(candidates)
        else:
            self._draw_points(candidates)
        return self

    @property
    def _score(self) -> str:
        """Name the score as an axis does."""
        name = self.metric if self.score_name is None else self.score_name
        return name.replace("_", " ").capitalize()

    # One parameter

    def _draw_lines(self, candidates: Candidates) -> None:
        """Draw score and time over a parameter, a line for each iteration."""
        ax, (values,) = self.ax_, candidates.values
        self.time_ax_ = time_ax = ax.twinx()
        ax.set_zorder(time_ax.get_zorder() + 1)  # scores over times
        ax.patch.set_visible(False)
        x, scale = _axes.places(values)
        iterations = candidates.table.groupby("iter")
        for i, (_, rows) in enumerate(iterations):
            colors: Sequence[Any] = _axes.COLORS
            if len(iterations) > 1:
                colors = [_axes.color(i, len(iterations))] * 2
            at, style = x[rows[0]], _axes.Style(capsize=3, markersize=5)
            resources = f"{self.resource or 'resources'}={rows['resources'].iloc[0]}"
            score, time = (rows["mean"], rows["std"]), (rows["time"], rows["time_std"])
            self.errorbar_.append(
                ax.errorbar(at, *score, fmt="o-", color=colors[0], label=resources, **style)
            )
            self.time_errorbar_.append(
                time_ax.errorbar(at, *time, fmt="s--", color=colors[1], **style)
            )
        best = candidates.table.iloc[candidates.best]
        self._mark_best(x[int(best[0])], float(best["mean"]))
        _axes.set_ticks(ax, "x", x, values, scale)
        ax.set(xlabel=candidates.params[0], ylabel=self._score)
        time_ax.set(ylabel="Fit time (s)", ylim=(0, None))
        _axes.legend_above(ax, self._legend())

    def _legend(self) -> "list[Any]":
        """Make an entry for score, time and the best; for iterations if there are several."""
        from matplotlib.lines import Line2D

        ink, several = self.ax_.xaxis.label.get_color(), len(self.errorbar_) > 1
        colors = (ink, ink) if several else _axes.COLORS
        iterations = [
            Line2D([], [], color=bar.lines[0].get_color(), label=bar.get_label())
            for bar in self.errorbar_
            if several
        ]
        return [
            Line2D([], [], linestyle="-", marker="o", color=colors[0], label=self._score),
            Line2D([], [], linestyle="--", marker="s", color=colors[1], label="Fit time"),
            Line2D([], [], **_RING, markeredgecolor=ink, label="best"),
            *iterations,
        ]

    def _mark_best(self, x: float, y: float) -> None:
        """Put a ring around the best candidate."""
        ink = self.ax_.xaxis.label.get_color()
        (self.best_,) = self.ax_.plot(x, y, **_RING, markeredgecolor=ink)

    # Two parameters

    def _draw_cells(self, candidates: Candidates) -> None:
        """Draw a heat map: the last iteration that each pair of values took part in."""
        ax, (across, up) = self.ax_, candidates.values
        last = candidates.table.drop_duplicates([0, 1], keep="last")
        scores = np.full((len(up), len(across)), np.nan)
        scores[last[1], last[0]] = last["mean"]
        self.image_ = ax.imshow(scores, origin="lower", aspect="auto", cmap="viridis")
        _axes.set_ticks(ax, "x", np.arange(len(across)), across, "category")
        _axes.set_ticks(ax, "y", np.arange(len(up)), up, "category")
        ax.set(xlabel=candidates.params[0], ylabel=candidates.params[1])
        self._color_bar(self.image_)
        if candidates.table["iter"].nunique() > 1:
            _axes.sentences_below(
                ax, "Each pair of values: the last iteration that it took part in."
            )
        if scores.size <= _MOST_CELLS:
            self.texts_ = [self._write_cell(row) for _, row in last.iterrows()]
        self._frame_best(candidates.table.iloc[candidates.best])

    def _write_cell(self, row: Any) -> "Text":
        """Write score and time of a candidate in its cell, in a colour that can be read there."""
        assert self.image_ is not None
        text, ink = "failed", self.ax_.xaxis.label.get_color()
        if np.isfinite(row["mean"]):
            text = f"{_three_digits(row['mean'])}\n±{row['std']:.1g}\n{_seconds(row['time'])}"
            red, green, blue, _ = self.image_.to_rgba(row["mean"])
            ink = "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"
        style: _axes.Style = {"ha": "center", "va": "center", "fontsize": "small", "color": ink}
        return self.ax_.text(row[0], row[1], text, **style)

    def _frame_best(self, best: Any) -> None:
        """Draw a frame around the cell of the best candidate."""
        from matplotlib.patches import Rectangle

        corner = best[0] - 0.5, best[1] - 0.5
        style: _axes.Style = {
            "fill": False,
            "linewidth": 2.5,
            "edgecolor": _axes.COLORS[1],
            "clip_on": False,
        }
        self.best_ = Rectangle(corner, 1, 1, **style)
        self.ax_.add_patch(self.best_)

    def _draw_points(self, candidates: Candidates) -> None:
        """Draw each candidate as a dot: its colour is the score, its area the fit time."""
        ax, table = self.ax_, candidates.table[candidates.table["mean"].notna()]
        spots = []
        for which, place in (("x", 0), ("y", 1)):
            values = candidates.values[place]
            at, scale = _axes.places(values)
            _axes.set_ticks(ax, which, at, values, scale)
            spots.append(at[table[place]])
        longest = table["time"].max()
        areas = _LEAST + (_MOST - _LEAST) * table["time"] / max(longest, 1e-9)
        ink = ax.xaxis.label.get_color()
        style: _axes.Style = {"c": table["mean"], "edgecolor": ink, "linewidth": 0.5}
        self.points_ = ax.scatter(spots[0], spots[1], areas, **style)
        _axes.sentences_below(
            ax, f"Area: fit time, from {_seconds(table['time'].min())} to {_seconds(longest)}."
        )
        ax.set(xlabel=candidates.params[0], ylabel=candidates.params[1])
        self._color_bar(self.points_)
        best = table.index.get_loc(candidates.best)
        self._mark_best(float(spots[0][best]), float(spots[1][best]))

    def _color_bar(self, drawn: Any) -> None:
        """Say which score a colour stands for."""
        self.figure_.colorbar(drawn, ax=self.ax_, label=self._score)


def _main_metric(results: dict[str, Any], refit: Any) -> str:
    """Name the score that refit names, or the only one."""
    names = metrics(results)
    if isinstance(refit, str) and refit in names:
        return refit
    if len(names) > 1:
        raise ValueError(
            f"The search has several scores, and refit={refit!r} names none of them. Choose one "
            f"with metric=: {names}."
        )
    return names[0]


def _three_digits(value: float) -> str:
    """Write a number with three digits, zeros at the end too."""
    return f"{value:#.3g}".rstrip(".")


def _seconds(value: float) -> str:
    """Write a time with two digits, or in whole seconds."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"


def _is_grid(candidates: Candidates) -> bool:
    """Tell whether most pairs of values were tried, so that a heat map has few gaps."""
    pairs = candidates.table.drop_duplicates([0, 1])
    return len(pairs) > _FULL * math.prod(len(values) for values in candidates.values)
