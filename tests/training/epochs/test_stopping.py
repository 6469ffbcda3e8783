"""When training stops, which weights are kept, and who interrupted it."""

import math
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sklearnish.training import Convergence, EarlyStopping
from sklearnish.training._epochs.stopping import raised_to_stop

CPU = torch.device("cpu")


def watch(stopping, values, module=None, first=1):
    """Note a number per epoch, whose weights are all that number; return the epochs seen."""
    module = module or nn.Linear(1, 1, bias=False)
    for epoch, value in enumerate(values, first):
        nn.init.constant_(module.weight, value)
        if stopping.update(value, epoch, module):
            return epoch
    return None


@pytest.mark.parametrize(
    ("values", "tol", "stops", "best"),
    [
        ([3, 2, 1, 1, 1], 0.0, 5, 3),
        ([3, 2, 1, 1, 0.5, 1], 0.0, None, 5),  # the wait begins again
        ([3, 2.9, 2.8], 0.5, 3, 3),  # better, but by too little to wait on
        ([3, 2.9, 2.4], 0.5, None, 3),  # together by enough
        ([3, 2.5, 2.5], 0.5, 3, 2),  # by tol is not by more than tol
        ([3, math.nan, math.nan], 0.0, 3, 1),
    ],
)
@pytest.mark.parametrize("greater_is_better", [False, True])
def test_stops_after_patience_epochs_without_improvement(
    values, tol, stops, best, greater_is_better
):
    stopping = EarlyStopping(patience=2, tol=tol, greater_is_better=greater_is_better)
    signed = [-value if greater_is_better else value for value in values]
    module = nn.Linear(1, 1, bias=False)
    assert watch(stopping, signed, module) == stops
    assert stopping.restore(module) == best
    assert module.weight.item() == pytest.approx(signed[best - 1])


def test_without_a_number_the_weights_stay_and_there_is_no_best_epoch():
    stopping = EarlyStopping(patience=1, tol=0.0, greater_is_better=True)
    module = nn.Linear(1, 1, bias=False)
    assert watch(stopping, [math.nan], module) == 1
    nn.init.constant_(module.weight, 5.0)
    assert stopping.restore(module) == 0
    assert module.weight.item() == 5


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_goes_on_from_a_state_as_if_never_interrupted(cut):
    values, module = [3.0, 1.0, 2.0, 2.0, 2.0], nn.Linear(1, 1, bias=False)
    first, then = (EarlyStopping(patience=3, tol=0.0, greater_is_better=False) for _ in range(2))
    assert watch(first, values[:cut], module) is None
    then.load_state_dict(first.state_dict(), CPU)
    assert watch(then, values[cut:], module, cut + 1) == 5
    assert then.restore(module) == 2
    assert module.weight.item() == 1


def interrupted(action):
    """Return the interrupt that an action raises."""
    with pytest.raises(KeyboardInterrupt) as caught:
        action()
    return caught.value


def stop():
    raise KeyboardInterrupt


@pytest.mark.parametrize("action", [stop, lambda: stop()])
def test_a_callback_that_raises_wants_to_stop(action):
    assert raised_to_stop(interrupted(action))


def test_ctrl_c_is_not_raised_to_stop():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        assert not raised_to_stop(interrupted(lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not raised_to_stop(KeyboardInterrupt())


def reference(losses, tol, patience):
    """The rule as one reads it in scikit-learn: how many epochs, and how many without progress."""
    best, count = math.inf, 0
    for n, loss in enumerate(losses, 1):
        count = count + 1 if loss > best - tol else 0
        best = min(best, loss)
        if count > patience:
            return n, count
    return None, count


@given(
    losses=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    tol=st.sampled_from([0, 1, 3]),
    patience=st.sampled_from([1, 3, math.inf]),
    greater_is_better=st.booleans(),
)
def test_convergence_is_scikit_learns_rule(losses, tol, patience, greater_is_better):
    rule = convergence(patience=patience, tol=tol, greater_is_better=greater_is_better)
    values = [-loss if greater_is_better else loss for loss in losses]
    assert (watch(rule, values), rule.waited) == reference(losses, tol, patience)


def convergence(keep_best=False, greater_is_better=False, end_epoch=lambda done: False, **options):
    return Convergence(
        keep_best=keep_best, greater_is_better=greater_is_better, end_epoch=end_epoch, **options
    )


@pytest.mark.parametrize(("keep_best", "epoch"), [(True, 2), (False, 4)])
def test_convergence_keeps_the_best_weights_only_if_asked_to(keep_best, epoch):
    rule, module = convergence(keep_best, patience=9, tol=0.0), nn.Linear(1, 1, bias=False)
    watch(rule, [3.0, 1.0, 2.0, 5.0], module)
    assert rule.restore(module) == epoch
    assert module.weight.item() == (1.0 if keep_best else 5.0)


def test_convergence_goes_on_if_told_to():
    told = []
    rule = convergence(
        patience=1, tol=0.0, end_epoch=lambda done: told.append(done) or len(told) < 5
    )
    assert watch(rule, [1.0] + [2.0] * 9) == 5
    assert told == [False, False, True, False, True]


def test_convergence_goes_on_from_the_best_of_an_earlier_fit():
    rule, module = convergence(True, patience=1, tol=0.0), nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 7.0)
    rule.go_on_from(1.0, 1, module)
    assert watch(rule, [2.0, 3.0], module) == 1
    rule.restore(module)
    assert module.weight.item() == 7


def test_only_a_score_outlives_a_loss_that_became_nan():
    assert not EarlyStopping(patience=1, tol=0.0, greater_is_better=True).outlives()
    for keep_best, values in ((True, []), (True, [math.nan]), (False, [1.0])):
        rule = convergence(keep_best, True, patience=9, tol=0.0)
        watch(rule, values)
        assert not rule.outlives()
    rule, module = convergence(True, True, patience=9, tol=0.0), nn.Linear(1, 1, bias=False)
    watch(rule, [3.0, 1.0], module)
    assert rule.outlives()
    assert rule.update(math.nan, 3, module)
    assert rule.restore(module) == 1
