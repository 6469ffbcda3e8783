import pytest
import torch

from sklearnish.estimators._fitting.calibration import temperature


def _draw(n=20_000, factor=3.0):
    """Draw labels by logits, and return logits that are too sure by a factor."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, 3, generator=generator)
    y = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    labels = (torch.rand(n, 3, generator=generator) < logits.sigmoid()).float()
    return factor * logits, y, labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_factor_by_which_logits_are_too_sure_is_found(factor):
    logits, y, labels = _draw(factor=factor)
    assert temperature(logits, y, None) == pytest.approx(factor, rel=0.05)
    assert temperature(logits, labels, None) == pytest.approx(factor, rel=0.05)
    assert temperature(logits[:, :1], labels[:, 0], None) == pytest.approx(factor, rel=0.05)


def test_rows_of_no_weight_do_not_count():
    logits, y, labels = _draw()
    wrong = torch.cat([logits, -50 * logits[:100]])
    weight = torch.cat([torch.ones(len(logits)), torch.zeros(100)])
    for target in (y, labels):
        found = temperature(wrong, torch.cat([target, target[:100]]), weight)
        assert found == pytest.approx(temperature(logits, target, None))


@pytest.mark.parametrize("n", [1, 5, 30])
def test_few_rows_that_are_all_right_make_nothing_certain(n):
    logits = 3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    right, odds = logits.argmax(1), logits[:, 1] - logits[:, 0]
    found = temperature(logits, right, None)
    assert 0.3 < found <= 1
    assert temperature(logits, right, torch.ones(n)) == pytest.approx(found)
    assert temperature(odds, (odds > 0).float(), None) == pytest.approx(found, rel=1e-4)
    assert temperature(5 * logits, right, None) == 1


def test_many_rows_that_are_all_right_make_surer():
    logits = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    assert 0.02 < temperature(logits.sign() * (logits.abs() + 0.5), logits.argmax(1), None) < 1
