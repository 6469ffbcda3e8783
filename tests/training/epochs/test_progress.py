import re
import time

import pytest
import torch

from sklearnish import TorchClassifier
from sklearnish.data._tensors.batch import Batch
from sklearnish.training._epochs import progress
from sklearnish.training._epochs.progress import Progress


class Slow:
    """Batches that come as slowly as the bar is looked at; the model waits for half the time."""

    def __init__(self, n, seconds):
        self.n, self.seconds, self.waited = n, seconds, 0.0

    def __iter__(self):
        self.waited = 0.0
        for _ in range(self.n):
            time.sleep(self.seconds)
            self.waited += self.seconds
            yield Batch(torch.zeros(10, 1))


def fit(batches, epochs=2, rows=None, verbose=1):
    rows = 10 * batches.n if rows is None else rows
    with Progress(epochs, rows, verbose, lambda: batches.waited) as progress:
        for epoch in range(epochs):
            begun = time.perf_counter()
            for _ in progress.watch(batches):
                time.sleep(batches.seconds)
            dur = time.perf_counter() - begun
            progress.epoch({"epoch": epoch, "train_loss": 0.5 - epoch / 4, "dur": dur})


def lines(capsys):
    """What stood on the screen, one after the other."""
    return [line for line in capsys.readouterr().err.split("\r") if line.strip()]


def test_a_silent_fit_gets_the_very_batches():
    batches = [Batch(torch.zeros(1, 1))]
    with Progress(1, 1, 0, float) as progress:
        assert progress.watch(batches) is batches
        progress.epoch({"train_loss": 1.0, "dur": 1.0})


def test_within_an_epoch_the_bar_shows_rows_a_second_and_the_wait(capsys):
    fit(Slow(4, progress._PERIOD / 2), epochs=1)
    within = [line for line in lines(capsys) if "waited" in line]
    assert len({line.partition("/40.0 ")[0] for line in within}) >= 2, "it moves"
    assert all("rows/s" in line and "epoch 1/1" in line for line in within)
    shares = [int(share) for line in within for share in re.findall(r"waited (\d+)%", line)]
    assert shares
    assert all(0 < share <= 50 for share in shares)
    assert "loss" not in within[0]


def test_losses_come_at_the_end_of_an_epoch_and_stay(capsys):
    fit(Slow(2, progress._PERIOD))
    shown = lines(capsys)
    first = next(i for i, line in enumerate(shown) if "train_loss=0.5" in line)
    assert any("epoch 2/2" in line and "train_loss=0.5" in line for line in shown[first:])
    assert "40.0/40.0" in shown[-1]
    assert "train_loss=0.25" in shown[-1]


def test_a_bar_is_not_drawn_once_a_batch(capsys):
    fit(Slow(200, 0.0))
    assert len(lines(capsys)) < 20


@pytest.mark.parametrize("rows", [0, 7])
def test_rows_of_another_number_than_was_said(rows, capsys):
    fit(Slow(2, 0.0), rows=rows)
    assert ("14.0/14.0" if rows else "40.0 rows") in lines(capsys)[-1]


def test_the_bar_is_closed_when_a_fit_is_stopped(capsys):
    bar = Progress(1, 10, 1, float)
    with pytest.raises(KeyboardInterrupt), bar:
        raise KeyboardInterrupt
    assert bar._bar.disable


def test_in_a_fit(capsys):
    X, y = torch.randn(300, 3), torch.arange(300) % 2
    TorchClassifier(max_epochs=2, verbose=1, random_state=0).fit(X, y)
    last = lines(capsys)[-1]
    assert "epoch 2/2" in last
    assert "600/600" in last
    assert "waited" in last
    assert "train_loss=" in last


def test_several_processes_have_their_parts_of_a_batch(capsys):
    batches = Slow(3, progress._PERIOD)
    with Progress(1, 60, 1, lambda: 0.0, processes=2) as bar:
        for _ in bar.watch(batches):
            pass
    shown = lines(capsys)
    assert any("40.0/60.0" in line for line in shown)
    assert "60.0/60.0" in shown[-1]
