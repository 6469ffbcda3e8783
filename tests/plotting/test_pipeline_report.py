import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearnish as sn
from sklearnish.data._loading.report import EpochTimes, PipelineReport

Display = sn.plotting.PipelineReportDisplay
X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
Y = X[:, 0] > 0


def double(x):
    return x * 2


def transformed():
    return sn.as_dataset(X, Y).map(double)


def fitted(data=None, **params):
    data = transformed() if data is None else data
    return sn.TorchClassifier(max_epochs=3, random_state=0, **params).fit(data)


def report(n_epochs=3, seconds=2.0, transfer=0.25, transform=0.5, source="file"):
    times = EpochTimes(
        rows=100, batches=10, seconds=seconds, wait=0.5, read=1.0, transform=transform
    )
    times.transfer = transfer
    return PipelineReport("thread", 0, "it was asked for", source, (times,) * n_epochs)


def test_bars_of_a_fit_add_up_to_its_epochs():
    clf = fitted()
    display = Display.from_estimator(clf)
    epochs = clf.pipeline_report_.epochs
    assert display.report is clf.pipeline_report_
    tops = {}
    for bar in display.ax_.patches:
        middle = round(bar.get_x() + bar.get_width() / 2)
        tops[middle] = max(tops.get(middle, 0), bar.get_y() + bar.get_height())
    assert list(tops) == [1, 2, 3]
    np.testing.assert_allclose(list(tops.values()), [times.seconds for times in epochs])
    read, both = (line.get_ydata() for line in display.ax_.lines)
    np.testing.assert_allclose(read, [times.read for times in epochs])
    np.testing.assert_allclose(both, [times.read + times.transform for times in epochs])


@pytest.mark.parametrize("n_epochs", [1, 3, 45])
def test_parts_are_stacked_and_named(n_epochs):
    ax = Display.from_report(report(n_epochs)).ax_
    bars = {c.get_label(): [(b.get_y(), b.get_height()) for b in c] for c in ax.containers}
    assert bars == {
        "compute": [(0, 1.25)] * n_epochs,
        "transfer": [(1.25, 0.25)] * n_epochs,
        "wait": [(1.5, 0.5)] * n_epochs,
    }
    assert {line.get_label(): set(line.get_ydata()) for line in ax.lines} == {
        "readers: read": {1.0},
        "+ transform": {1.5},
    }
    named = {text.get_text() for text in ax.get_legend().get_texts()}
    assert named == {*bars, "readers: read", "+ transform"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "Seconds")


def test_what_took_no_time_is_not_in_the_legend():
    ax = Display.from_report(report(transfer=0.0, transform=0.0)).ax_
    named = {text.get_text() for text in ax.get_legend().get_texts()}
    assert named == {"compute", "wait", "readers: read"}


def test_the_title_is_short_and_the_sentences_are_below():
    given = report(source="$x_1$ and $y^2$")
    display = Display.from_report(given)
    assert display.ax_.get_title(loc="left") == "Waiting for data: 25% of the time"
    (sentences,) = display.ax_.texts
    assert " ".join(sentences.get_text().split()) == given.bottleneck
    display.figure_.canvas.draw()  # dollars are no formula
    assert sentences.get_window_extent().y1 < display.ax_.xaxis.label.get_window_extent().y0


@pytest.mark.parametrize(("size", "n_epochs"), [((4, 3), 1), ((6.4, 4.8), 45), ((14, 4), 12)])
def test_legend_and_sentences_are_beside_the_bars_and_in_the_figure(size, n_epochs):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    Display.from_report(report(n_epochs), ax=ax)
    figure.canvas.draw()
    legend, bars = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert bars.x1 <= legend.x0 < legend.x1 <= figure.bbox.x1
    sentences = ax.texts[0].get_window_extent()
    assert sentences.y0 >= 0
    assert sentences.x1 <= figure.bbox.x1
    assert bars.width > 0.4 * figure.bbox.width


def test_an_axes_can_be_given_and_drawn_on_later():
    figure, axes = plt.subplots(1, 2)
    display = Display.from_estimator(fitted(), ax=axes[0])
    assert display.ax_ is axes[0]
    assert display.figure_ is figure
    assert display.plot(axes[1]) is display
    assert display.ax_ is axes[1]
    assert display.plot().figure_ is not figure


def test_axes_that_share_their_seconds_show_all_of_both():
    _, axes = plt.subplots(1, 2, sharey=True)
    for seconds, ax in zip((9.0, 1.0), axes, strict=True):
        Display.from_report(report(seconds=seconds), ax=ax)
    assert axes[0].get_ylim()[1] > 9


def test_of_worker_processes_and_of_a_pipeline(tmp_path):
    np.save(tmp_path / "X.npy", X)
    data = sn.scan_npy(tmp_path / "X.npy", target=Y)
    Display.from_estimator(fitted(data, num_workers=1))
    model = make_pipeline(StandardScaler(), sn.TorchClassifier(max_epochs=1)).fit(X, Y)
    assert Display.from_estimator(model[-1]).report is model[-1].pipeline_report_
    with pytest.raises(TypeError, match=r"Pipeline has no pipeline_report_.*pipeline\[-1\]"):
        Display.from_estimator(model)


def test_what_cannot_be_drawn():
    with pytest.raises(NotFittedError):
        Display.from_estimator(sn.TorchClassifier())
    with pytest.raises(TypeError, match="LogisticRegression has no pipeline_report_"):
        Display.from_estimator(LogisticRegression().fit(X, Y))
    with pytest.raises(TypeError, match=r"must be a PipelineReport, .* not TorchClassifier"):
        Display.from_report(fitted())
    with pytest.raises(ValueError, match="no epochs yet"):
        Display.from_report(report(0))


WITHOUT = """
import sys
import sklearnish as sn
from sklearnish.data import PipelineReport
from sklearnish.data._loading.report import EpochTimes

assert not any(name.startswith("matplotlib") for name in sys.modules), "imported before use"
sys.modules["matplotlib"] = None  # as if it were not installed
report = PipelineReport("inline", 0, "", "X", (EpochTimes(seconds=1.0),))
try:
    sn.plotting.PipelineReportDisplay.from_report(report)
except ImportError as error:
    print(error)
"""


def test_matplotlib_is_imported_when_something_is_drawn():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'pip install "sklearnish[plot]"' in done.stdout
