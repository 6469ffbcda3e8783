import warnings

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.stats import loguniform
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

import sklearnish as sn

Display = sn.plotting.SearchDisplay
X = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
Y = X[:, 0] > 0
MODEL = SGDClassifier(random_state=0)


@pytest.fixture(scope="module")
def one():
    clf = sn.TorchClassifier(max_epochs=1, random_state=0)
    return GridSearchCV(clf, {"batch_size": [64, 16, 32]}, cv=2, scoring="roc_auc").fit(X, Y)


@pytest.fixture(scope="module")
def grid():
    return GridSearchCV(MODEL, {"alpha": [1e-4, 1e-2, 1.0], "penalty": ["l1", "l2"]}, cv=2).fit(
        X, Y
    )


def test_score_and_time_over_one_parameter(one):
    display = Display.from_estimator(one)
    results, order = one.cv_results_, [1, 2, 0]
    (score,), (time,) = display.errorbar_, display.time_errorbar_
    assert score.lines[0].get_xdata().tolist() == [16, 32, 64]
    assert score.lines[0].get_ydata().tolist() == results["mean_test_score"][order].tolist()
    assert time.lines[0].get_ydata().tolist() == results["mean_fit_time"][order].tolist()
    heights = [np.diff(bar[:, 1])[0] for bar in score.lines[2][0].get_segments()]
    np.testing.assert_allclose(heights, 2 * results["std_test_score"][order])
    ax, time_ax = display.ax_, display.time_ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("batch_size", "Roc auc")
    assert (time_ax.get_ylabel(), time_ax.get_ylim()[0]) == ("Fit time (s)", 0)
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["16", "32", "64"]
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named == ["Roc auc", "Fit time", "best"]


def test_the_best_is_marked(one, grid):
    best = Display.from_estimator(one).best_.get_xydata().tolist()
    assert best == [[one.best_params_["batch_size"], one.best_score_]]
    display = Display.from_estimator(grid)
    corner = display.best_.get_xy()
    alpha, penalty = grid.best_params_["alpha"], grid.best_params_["penalty"]
    assert corner == ([1e-4, 1e-2, 1.0].index(alpha) - 0.5, ["l1", "l2"].index(penalty) - 0.5)


def test_two_parameters_are_a_heat_map(grid):
    display = Display.from_estimator(grid)
    scores = grid.cv_results_["mean_test_score"].reshape(3, 2).T
    np.testing.assert_array_equal(display.image_.get_array(), scores)
    texts = {text.get_position(): text.get_text() for text in display.texts_}
    assert len(texts) == 6
    assert texts[2, 1].startswith(f"{scores[1, 2]:#.3g}\n±")
    assert texts[2, 1].endswith(" s")
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0.0001", "0.01", "1"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("alpha", "penalty")
    assert display.time_ax_ is None


def test_numbers_in_cells_can_be_read_on_their_colour(grid):
    display = Display.from_estimator(grid)
    darkest, brightest = (
        text.get_color() for text in sorted(display.texts_, key=lambda text: text.get_text())[::5]
    )
    assert (darkest, brightest) == ("white", "black")


def test_a_chosen_parameter_has_the_best_of_the_others(grid):
    display = Display.from_estimator(grid, params="alpha")
    best = grid.cv_results_["mean_test_score"].reshape(3, 2).max(1)
    assert display.errorbar_[0].lines[0].get_ydata().tolist() == best.tolist()
    turned = Display.from_estimator(grid, params=["penalty", "alpha"])
    assert turned.image_.get_array().shape == (3, 2)


def test_a_large_grid_has_colours_alone():
    pairs = [(alpha, p) for alpha in np.logspace(-6, 1, 33) for p in ("l1", "l2")]
    alphas, penalties = zip(*pairs, strict=True)
    scores = np.linspace(0, 1, 66)
    names = ("mean_test_score", "std_test_score", "mean_fit_time", "std_fit_time")
    results = dict.fromkeys(names, scores)
    results |= {"param_alpha": np.ma.array(alphas), "param_penalty": np.ma.array(penalties)}
    display = Display(results=results).plot()
    assert display.texts_ == []
    assert len(display.ax_.get_xticks()) <= 10


def test_pairs_drawn_at_random_are_dots():
    space = {"alpha": loguniform(1e-6, 1), "eta0": loguniform(1e-3, 1)}
    search = RandomizedSearchCV(MODEL, space, n_iter=6, cv=2, random_state=0).fit(X, Y)
    display = Display.from_estimator(search)
    results = search.cv_results_
    dots = sorted(display.points_.get_offsets().tolist())
    np.testing.assert_allclose(
        dots, sorted(zip(results["param_alpha"], results["param_eta0"], strict=True))
    )
    assert sorted(display.points_.get_array()) == sorted(results["mean_test_score"])
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
    best = [search.best_params_["alpha"], search.best_params_["eta0"]]
    np.testing.assert_allclose(display.best_.get_xydata(), [best])
    (told,) = [text.get_text() for text in display.ax_.texts]
    assert told.startswith("Area: fit time, from ")


def test_a_halving_has_a_line_for_each_iteration():
    space = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2]}
    search = HalvingGridSearchCV(
        MODEL, space, factor=2, min_resources=30, cv=2, random_state=0
    ).fit(X, Y)
    display = Display.from_estimator(search)
    n = search.n_iterations_
    assert n > 1
    assert len(display.errorbar_) == len(display.time_errorbar_) == n
    named = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert named[3:] == [f"n_samples={resources}" for resources in search.n_resources_]
    last = search.cv_results_["iter"] == n - 1
    assert display.best_.get_ydata()[0] == search.cv_results_["mean_test_score"][last].max()


def test_failed_fits_are_told():
    search = GridSearchCV(MODEL, {"alpha": [1e-3, -1.0], "penalty": ["l1", "l2"]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that failed
        search.fit(X, Y)
    texts = [text.get_text() for text in Display.from_estimator(search).texts_]
    assert texts.count("failed") == 2
    (line,) = Display.from_estimator(search, params="alpha").errorbar_
    assert np.isnan(line.lines[0].get_ydata().astype(float)).tolist() == [True, False]


def test_several_metrics():
    search = GridSearchCV(
        MODEL, {"alpha": [1e-3, 1]}, scoring=["accuracy", "recall"], refit="recall", cv=2
    ).fit(X, Y)
    assert Display.from_estimator(search).ax_.get_ylabel() == "Recall"
    display = Display.from_estimator(search, metric="accuracy")
    scores = search.cv_results_["mean_test_accuracy"].tolist()
    assert display.errorbar_[0].lines[0].get_ydata().tolist() == scores
    with pytest.raises(ValueError, match=r"choose one of \['accuracy', 'recall'\]"):
        Display.from_estimator(search, metric="auc")
    search.refit = False
    with pytest.raises(
        ValueError, match=r"refit=False names none .*metric=: \['accuracy', 'recall'\]"
    ):
        Display.from_estimator(search)
    only = GridSearchCV(MODEL, {"alpha": [1]}, scoring=["recall"], refit=False, cv=2).fit(X, Y)
    assert Display.from_estimator(only).ax_.get_ylabel() == "Recall"


def test_a_list_of_grids():
    space = [{"alpha": [1e-4, 1e-2]}, {"penalty": ["l1", "l2"]}]
    search = GridSearchCV(MODEL, space, cv=2).fit(X, Y)
    with pytest.raises(ValueError, match=r"has both alpha and penalty"):
        Display.from_estimator(search)
    (line,) = Display.from_estimator(search, params="penalty").errorbar_
    scores = search.cv_results_["mean_test_score"][2:]
    assert line.lines[0].get_ydata().tolist() == scores.tolist()


@pytest.mark.parametrize("size", [(4, 3), (6.4, 4.8)])
def test_legends_and_numbers_are_in_the_figure(one, grid, size):
    for search in (one, grid):
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        display = Display.from_estimator(search, ax=ax)
        assert display.ax_ is ax
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in display.texts_]
        boxes += [ax.get_legend().get_window_extent()] if ax.get_legend() else []
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(box.y1 <= figure.bbox.y1 for box in boxes)
        assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)


def test_what_cannot_be_drawn():
    with pytest.raises(NotFittedError):
        Display.from_estimator(GridSearchCV(MODEL, {"alpha": [1]}))
    with pytest.raises(TypeError, match="LogisticRegression has no cv_results_"):
        Display.from_estimator(LogisticRegression().fit(X, Y))
