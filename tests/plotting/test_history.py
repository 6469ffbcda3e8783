import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import EpochScoring

import sklearnish as sn

Display = sn.plotting.HistoryDisplay
X = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
Y = X[:, 0] > 0


def fitted(**params):
    return sn.TorchClassifier(random_state=0, **{"max_epochs": 3} | params).fit(X, Y)


@pytest.fixture(scope="module")
def stopped():
    return fitted(early_stopping=True, monitor="accuracy", max_epochs=5, patience=2, tol=1.0)


def labels(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_losses_and_scores_of_one_fit(stopped):
    display = Display.from_estimator(stopped)
    assert display.metrics == ["loss", "accuracy"]
    assert [ax.get_ylabel() for ax in display.axes_] == ["Loss", "Accuracy"]
    assert display.axes_[-1].get_xlabel() == "Epoch"
    drawn = [line.get_ydata().tolist() for line in display.lines_]
    names = ("train_loss", "valid_loss", "valid_accuracy")
    assert drawn == [[record[name] for record in stopped.history_] for name in names]
    assert [line.get_linestyle() for line in display.lines_] == ["--", "-", "-"]
    assert labels(display) == ["training", "validation", "weights kept"]


def test_the_epoch_whose_weights_were_kept_is_marked(stopped):
    best = stopped.net_.best_epoch_
    on_loss, on_score = (dot.get_xydata().tolist() for dot in Display.from_estimator(stopped).best_)
    assert on_loss == [[best, stopped.history_[best - 1]["valid_loss"]]]
    assert on_score == [[best, stopped.history_[best - 1]["valid_accuracy"]]]


def test_the_epoch_kept_need_not_be_the_last():
    history = [{"train_loss": loss} for loss in (3.0, 1.0, 2.0)]
    display = Display(histories={"a": history}, best_epochs={"a": 2}).plot()
    assert display.best_[0].get_xydata().tolist() == [[2, 1.0]]
    assert Display(histories={"a": history}).plot().best_ == []


def test_several_fits_side_by_side(stopped):
    fits = {"short": fitted(max_epochs=1), "long": stopped}
    display = Display.from_estimator(fits, metrics="loss")
    assert [len(line.get_xdata()) for line in display.lines_] == [1, *[len(stopped.history_)] * 2]
    assert labels(display) == ["short", "long", "training", "validation", "weights kept"]
    short, train, valid = (line.get_color() for line in display.lines_)
    assert short != train == valid
    assert labels(Display.from_estimator(list(fits.values())))[:2] == ["fit 1", "fit 2"]


def test_a_metric_that_only_some_fits_have(stopped):
    display = Display.from_estimator([fitted(), stopped], metrics=["accuracy"])
    assert len(display.lines_) == len(display.best_) == 1


def test_scores_of_callbacks():
    scoring = EpochScoring("accuracy", on_train=True, name="train_acc", lower_is_better=False)
    display = Display.from_estimator(fitted(callbacks=[scoring]))
    assert display.metrics == ["loss", "acc"]
    named = {"history": [{"epoch": 1, "train_loss": 1.0, "roc_auc": 0.5, "roc_auc_best": True}]}
    display = Display(histories=named).plot()
    assert display.metrics == ["loss", "roc_auc"]
    assert labels(display) == ["training", "by callbacks"]


def test_losses_of_several_decades_are_on_a_logarithmic_axis():
    falling = [{"train_loss": 1000.0 / 2**i} for i in range(12)]
    assert Display(histories={"": falling}).plot().ax_.get_yscale() == "log"
    assert Display(histories={"": falling[:3]}).plot().ax_.get_yscale() == "linear"


def test_a_loss_that_is_nan_is_no_line():
    display = Display(histories={"": [{"train_loss": float("nan")}]}).plot()
    assert display.lines_ == []


def test_axes_can_be_given(stopped):
    figure, axes = plt.subplots(1, 2)
    display = Display.from_estimator(stopped, ax=axes)
    assert display.figure_ is figure
    assert display.axes_ == [*axes]
    assert display.plot(axes[1], metrics="accuracy") is display
    assert display.ax_ is axes[1]
    with pytest.raises(ValueError, match=r"1 axes were given for 2 metrics \(loss, accuracy\)"):
        display.plot(axes[0])


@pytest.mark.parametrize("size", [(3.5, 2.5), (6.4, 4.8)])
def test_the_legend_is_beside_the_axes_and_in_the_figure(stopped, size):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    Display.from_estimator([stopped, stopped], metrics="loss", ax=ax)
    figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= ax.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= 0


def test_after_a_save(stopped, tmp_path):
    sn.save(stopped, tmp_path / "model.sn")
    display = Display.from_estimator(sn.load(tmp_path / "model.sn"))
    assert display.best_epochs == {"fit 1": stopped.net_.best_epoch_}


def test_what_cannot_be_drawn(stopped):
    with pytest.raises(NotFittedError):
        Display.from_estimator(sn.TorchClassifier())
    with pytest.raises(TypeError, match=r"LogisticRegression has no history_.*pipeline\[-1\]"):
        Display.from_estimator(LogisticRegression().fit(X, Y))
    with pytest.raises(ValueError, match=r"'auc', which no fit recorded.* loss, accuracy"):
        Display.from_estimator(stopped, metrics="auc")
    with pytest.raises(ValueError, match="at least one fitted estimator"):
        Display.from_estimator([])
