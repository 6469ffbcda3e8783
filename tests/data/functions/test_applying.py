import itertools
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._functions.applying import apply_batch, apply_rows
from sklearnish.data._functions.functions import BatchFunction, RowFunction, per_batch


def with_rng(x, rng):
    return x + float(rng.normal())


def with_global_generators(x):
    return x + torch.randn(x.shape) + np.random.normal() + random.random()  # noqa: NPY002


def fields(x):
    return {"a": x["a"] * 2, "b": np.asarray(x["b"]).sum()}


def run(functions, X, positions=None, **keywords):
    positions = np.arange(len(X)) if positions is None else np.asarray(positions)
    return apply_rows(functions, X, **{"seed": 7, "epoch": 2, "positions": positions, **keywords})


BOTH = (RowFunction(with_rng), RowFunction(with_global_generators), RowFunction(torch.nn.Dropout()))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.data())
def test_the_result_does_not_depend_on_the_chunks(n, data):
    X = torch.arange(n * 3.0).reshape(n, 3)
    positions = np.array(data.draw(st.permutations(range(n))), dtype=np.int64) + 10**12
    cuts = sorted(data.draw(st.sets(st.integers(0, n))) | {0, n})
    whole = run(BOTH, X.clone(), positions)
    parts = [run(BOTH, X[a:b].clone(), positions[a:b]) for a, b in itertools.pairwise(cuts)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("f", [with_rng, with_global_generators])
@pytest.mark.parametrize("other", [{"seed": 8}, {"epoch": 3}, {"salt": 1}, {"positions": [1, 2]}])
def test_other_addresses_draw_other_numbers(f, other):
    X = torch.zeros(2, 4)
    base = run([RowFunction(f)], X.clone(), [0, 3])
    assert not (run([RowFunction(f)], X.clone(), **{"positions": [0, 3], **other}) == base).any()


def test_equal_functions_in_a_row_draw_apart():
    once = run([RowFunction(with_rng)], torch.zeros(3, 1))
    twice = run([RowFunction(with_rng)] * 2, torch.zeros(3, 1))
    assert not torch.allclose(twice, 2 * once)


@pytest.mark.parametrize("function", BOTH)
def test_draws_of_neighbouring_rows_are_unrelated(function):
    drawn = run([function], torch.ones(4000, 1)).flatten()
    near = torch.corrcoef(torch.stack([drawn[1:], drawn[:-1]]))[0, 1]
    assert abs(float(near)) < 0.06


def generators_state():
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002


def test_global_generators_and_threads_are_put_back():
    before, threads = generators_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []

    def look(x):
        seen.append(torch.get_num_threads())
        return with_global_generators(x)

    run([RowFunction(look)], torch.zeros(2, 2))
    apply_batch([per_batch(look)], torch.zeros(2, 2), None, seed=0, epoch=0, batch=0)
    assert generators_state() == before
    assert seen[:2] == [1, 1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_they_are_put_back_after_an_error():
    before = generators_state()

    def fail(x):
        torch.rand(3)
        raise OSError(5, "disk", "a.jpg")

    with pytest.raises(OSError, match="disk") as caught:
        run([RowFunction(fail)], torch.zeros(2, 2), [41, 42])
    assert caught.value.filename == "a.jpg"
    assert "fail on row 0 of these" in caught.value.__notes__[0]
    assert generators_state() == before


def test_the_thread_count_of_the_trainer_is_its_own():
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, leave = threading.Event(), threading.Event()

    def wait(x, rng):
        inside.set()
        leave.wait(10)
        return x

    worker = threading.Thread(target=run, args=([RowFunction(wait)], torch.zeros(1, 1)))
    worker.start()
    assert inside.wait(10)
    assert torch.get_num_threads() == 2
    leave.set()
    worker.join()
    torch.set_num_threads(torch_threads)


def test_modules_arrays_scalars_and_dicts_are_accepted():
    double = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    assert run([RowFunction(double)], torch.ones(4, 3)).shape == (4, 2)
    assert not run([RowFunction(double)], torch.ones(4, 3)).requires_grad
    assert run(
        [RowFunction(lambda x: x.numpy()[::-1])], torch.arange(6).reshape(2, 3)
    ).tolist() == [
        [2, 1, 0],
        [5, 4, 3],
    ]
    assert run([RowFunction(lambda x: x.numpy().sum())], torch.ones(2, 3)).tolist() == [3, 3]
    out = apply_rows(
        [RowFunction(fields)],
        {"a": torch.ones(2, 3), "b": torch.ones(2, 5)},
        seed=0,
        epoch=0,
        positions=np.arange(2),
    )
    assert out["a"].tolist() == [[2, 2, 2]] * 2
    assert out["b"].tolist() == [5, 5]


def test_a_function_may_reuse_its_output():
    buffer = torch.zeros(1)
    assert run([RowFunction(buffer.copy_)], torch.arange(3.0).reshape(3, 1)).tolist() == [
        [0],
        [1],
        [2],
    ]


def test_rows_must_agree_in_shape():
    crop = RowFunction(lambda x: x[: int(x[0])])
    with pytest.raises(ValueError, match=r"shape \(1,\) float32 for position 5.*\(2,\).* 6"):
        run([crop], torch.tensor([[1.0, 0], [2, 0]]), [5, 6])


def test_no_rows_and_no_functions_pass():
    assert run(BOTH, torch.zeros(0, 3)).shape == (0, 3)
    X = torch.ones(2)
    assert run([], X) is X


def test_none_returned_is_refused():
    with pytest.raises(TypeError, match=r"must return a tensor.*NoneType"):
        run([RowFunction(lambda x: None)], torch.ones(2))


def test_map_batches_sees_the_chunk_and_keeps_its_rows():
    centred = BatchFunction(lambda X: X.numpy() - 1)
    assert run([centred], torch.ones(3, 2)).tolist() == [[0, 0]] * 3
    noise = BatchFunction(lambda X, rng: X + torch.from_numpy(rng.normal(size=X.shape)))
    assert torch.equal(run([noise], torch.ones(3, 2)), run([noise], torch.ones(3, 2)))
    with pytest.raises(ValueError, match=r"as many rows.*\(3\).*\(2,\)"):
        run([BatchFunction(lambda X: X[:2, 0])], torch.ones(3, 2))


def batch(f, X, y, **keywords):
    address = {"seed": 1, "epoch": 1, "batch": 1, **keywords}
    return apply_batch([per_batch(f)], X, y, **address)


def mixup(X, y, rng):
    share, order = float(rng.beta(1, 1)), torch.as_tensor(rng.permutation(len(X)))
    return share * X + (1 - share) * X[order], share * y + (1 - share) * y[order]


def test_per_batch_is_given_the_epoch_if_it_asks():
    X = torch.zeros(2, 1)
    assert batch(lambda X, epoch: X + epoch, X, None, epoch=3)[0].tolist() == [[3.0], [3.0]]
    both = batch(lambda X, y, rng, epoch: (X, y * epoch), X, torch.ones(2), epoch=5)
    assert both[1].tolist() == [5.0, 5.0]


def test_per_batch_is_given_y_if_it_asks():
    X, y = torch.rand(8, 2), torch.eye(8)
    mixed, target = batch(mixup, X, y)
    assert torch.equal(mixed, batch(mixup, X, y)[0])
    assert not torch.equal(mixed, batch(mixup, X, y, batch=2)[0])
    torch.testing.assert_close(target.sum(1), torch.ones(8))
    same_y = batch(lambda X: X + 1, X, y)[1]
    assert same_y is y


def test_per_batch_with_dropout_is_repeatable():
    drop = torch.nn.Dropout(0.5)
    first = batch(drop, torch.ones(50), None)[0]
    assert torch.equal(first, batch(drop, torch.ones(50), None)[0])
    assert 0 < int((first == 0).sum()) < 50


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda X: X[:1], ValueError, r"as many rows as it was given \(2\)"),
        (lambda X, y: (X, y[:1]), ValueError, "tensor y of 2 rows"),
        (lambda X: (X, X), TypeError, "was not given y"),
        (lambda X, y: (X, y, y), TypeError, "got 3 values"),
    ],
)
def test_what_per_batch_must_return(f, error, message):
    with pytest.raises(error, match=message) as caught:
        batch(f, torch.ones(2), torch.ones(2))
    assert "batch 1 of epoch 1" in caught.value.__notes__[0]


def test_threads_that_draw_from_the_global_generators_take_turns():
    ds = as_dataset(np.zeros((40, 3))).map(_noisy)
    alone = ds.read(range(40)).X
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: ds.read(range(40)).X, range(16)))
    assert all(torch.equal(X, alone) for X in together)
    assert torch.equal(torch.get_rng_state(), before)


def _noisy(x):
    time.sleep(0.0001)
    return x + torch.rand(3)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("way", ["map", "map_batches", "augment"])
def test_errors_name_file_and_row(tmp_path, num_workers, way):
    frame = pd.DataFrame({"a": np.arange(100.0), "y": np.arange(100) % 2})
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=10)
    ds = scan_parquet(tmp_path / "rows.parquet", target="y")[::-1]
    ds = ds if way == "augment" else getattr(ds, way)(refuse_42)
    options = {"shuffle_memory": 64, "num_workers": num_workers, "random_state": 0}
    options |= {"augment": refuse_42} if way == "augment" else {}
    with pytest.raises(ValueError, match="it is 42") as caught:
        list(ds.batches(4, **options))
    notes = "".join(caught.value.__notes__)
    assert "raised in refuse_42 on " in notes
    if way != "map_batches":
        assert f"row 42 of {tmp_path / 'rows.parquet'}" in notes
    else:
        assert re.search(r"rows, the first of them row \d+ of .*rows.parquet", notes)


def refuse_42(X):
    if (X == 42).any():
        raise ValueError("it is 42")
    return X


@pytest.mark.parametrize("function", [lambda row: row["a"], lambda row: row.a])
@pytest.mark.parametrize("way", ["map", "map_batches"])
def test_a_tensor_taken_for_a_table(way, function):
    ds = as_dataset(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises((TypeError, AttributeError)) as caught:
        getattr(ds, way)(function).read([0])
    assert "ds.columns: in map, row[0] is the first value" in caught.value.__notes__[1]
