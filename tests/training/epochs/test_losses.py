"""The mean loss of an epoch, bit for bit after a checkpoint, and the step at which it broke."""

import math

import pytest
import torch

from sklearnish.training._epochs.losses import LOOK_EVERY, EpochLoss, best_so_far

CPU = torch.device("cpu")
N_STEPS = 2 * LOOK_EVERY + 10
LOSSES = torch.rand(N_STEPS, generator=torch.Generator().manual_seed(0)).unbind()
COUNTS = [1 + step % 7 for step in range(N_STEPS)]
WEIGHTS = [torch.tensor(count / 8) for count in COUNTS]
SIZES = pytest.mark.parametrize("sizes", [COUNTS, WEIGHTS], ids=["counts", "weights"])


def noted(epoch, losses, sizes):
    for loss, size in zip(losses, sizes, strict=True):
        epoch.append(loss, size, 0.1)
    return epoch


@SIZES
@pytest.mark.parametrize("n_steps", [1, LOOK_EVERY, N_STEPS])
def test_the_mean_is_over_rows_not_batches(sizes, n_steps):
    losses, sizes = LOSSES[:n_steps], sizes[:n_steps]
    total = math.fsum(float(loss) * float(size) for loss, size in zip(losses, sizes, strict=True))
    found = noted(EpochLoss("training", 1), losses, sizes).mean(0.1)
    assert found == pytest.approx(total / math.fsum(map(float, sizes)), rel=1e-12)


def test_the_mean_of_nothing_is_no_number():
    assert math.isnan(EpochLoss("training", 1).mean(0.1))
    weightless = noted(EpochLoss("training", 1), LOSSES[:2], [torch.tensor(0.0)] * 2)
    assert math.isnan(weightless.mean(0.1))


@SIZES
@pytest.mark.parametrize("cut", [0, 5, LOOK_EVERY, LOOK_EVERY + 5])
def test_goes_on_from_a_state_bit_for_bit(sizes, cut):
    whole = noted(EpochLoss("training", 1, 0.5), LOSSES, sizes)
    first = noted(EpochLoss("training", 1, 0.5), LOSSES[:cut], sizes[:cut])
    then = EpochLoss("training", 1)
    then.load_state_dict(first.state_dict(), CPU)
    noted(then, LOSSES[cut:], sizes[cut:])
    assert (then.count, then.lr) == (N_STEPS, 0.5)
    assert then.mean(0.1) == whole.mean(0.1)


@pytest.mark.parametrize("first", ["counts", "weights"])
def test_goes_on_with_sizes_of_another_kind(first):
    """Several processes tell sizes as tensors, one as counts."""
    kinds = [COUNTS, [torch.tensor(count, dtype=torch.float64) for count in COUNTS]]
    before, after = kinds if first == "counts" else kinds[::-1]
    begun = noted(EpochLoss("training", 1), LOSSES[:5], before[:5])
    then = EpochLoss("training", 1)
    then.load_state_dict(begun.state_dict(), CPU)
    noted(then, LOSSES[5:9], after[5:9])
    assert len(then.state_dict()["sizes"]) == 9
    noted(then, LOSSES[9:], after[9:])
    assert then.mean(0.1) == noted(EpochLoss("training", 1), LOSSES, COUNTS).mean(0.1)


def test_a_state_is_not_changed_by_what_follows():
    epoch = noted(EpochLoss("training", 1), LOSSES[:5], COUNTS[:5])
    state = epoch.state_dict()
    noted(epoch, LOSSES[5:], COUNTS[5:]).mean(0.1)
    assert (state["count"], state["sizes"]) == (5, COUNTS[:5])
    assert state["losses"].tolist() == [float(loss) for loss in LOSSES[:5]]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, LOOK_EVERY, LOOK_EVERY + 3])
def test_a_loss_that_is_not_finite_names_step_epoch_and_rate(bad, step):
    losses = [*LOSSES[: step - 1], torch.tensor(bad), torch.tensor(math.nan)]
    message = rf"validation loss became {bad} at step {step} of epoch 4 \(learning rate 0\.1\)"
    with pytest.raises(FloatingPointError, match=message):
        noted(EpochLoss("validation", 4), losses, [1] * len(losses)).check(0.1)


def test_a_loss_that_is_not_finite_is_found_within_so_many_steps():
    epoch = noted(EpochLoss("training", 1), [torch.tensor(math.nan)], [1])
    noted(epoch, LOSSES[: LOOK_EVERY - 2], COUNTS[: LOOK_EVERY - 2])
    with pytest.raises(FloatingPointError, match="nan at step 1 "):
        epoch.append(LOSSES[0], 1, 0.1)


@pytest.mark.parametrize(
    ("losses", "best"),
    [([3.0], True), ([3.0, 2.0], True), ([2.0, 2.0], False), ([1.0, 3.0, 2.0], False)],
)
def test_the_best_loss_so_far_is_less_than_all_before(losses, best):
    history = []
    for loss in losses:
        history.append({"train_loss": loss, "valid_loss": -loss})
        history[-1] |= (found := best_so_far(history))
    worst = [-loss for loss in losses]
    assert found == {
        "train_loss_best": best,
        "valid_loss_best": all(worst[-1] < loss for loss in worst[:-1]),
    }


def test_a_loss_that_earlier_epochs_lack_is_the_best():
    first = {"train_loss": 1.0, "train_loss_best": True}
    assert best_so_far([first, {"train_loss": 2.0, "valid_loss": 5.0}]) == {
        "train_loss_best": False,
        "valid_loss_best": True,
    }
