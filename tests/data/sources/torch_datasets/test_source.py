import multiprocessing
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

import sklearnish
from sklearnish.data._sources.torch_datasets import source as torch_datasets
from sklearnish.data._sources.torch_datasets.source import TorchDatasetSource


class Pairs(Dataset):
    """Ten rows; items are made by functions of the row number."""

    def __init__(self, x, y=None, n=10):
        self.x, self.y, self.n, self.asked = x, y, n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.asked.append(i)
        if not 0 <= i < self.n:
            raise IndexError(i)
        return self.x(i) if self.y is None else (self.x(i), self.y(i))


class Batched(Pairs):
    def __getitems__(self, places):
        self.asked.append(list(places))
        return [(self.x(i), self.y(i)) for i in places]


def vector(i):
    return torch.full((3,), float(i))


ROWS = np.array([7, 0, 7, 3])


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        (vector, torch.tensor([7.0, 0, 7, 3])[:, None].expand(4, 3)),
        (lambda i: np.array([i, i], np.int16), torch.tensor([7, 0, 7, 3])[:, None].expand(4, 2)),
        (lambda i: i * 0.5, torch.tensor([3.5, 0, 3.5, 1.5])),
        (lambda i: np.float32(i), torch.tensor([7.0, 0, 7, 3])),
    ],
)
def test_what_x_may_be(x, wanted):
    source = TorchDatasetSource(Pairs(x, lambda i: i))
    read = source.read(ROWS, ["X", "y"])
    assert torch.equal(read["X"].to(wanted.dtype), wanted)
    assert read["y"].tolist() == [7, 0, 7, 3]
    assert source.schema["X"].shape == tuple(wanted.shape[1:])
    assert source.schema["X"].dtype == str(read["X"].dtype).removeprefix("torch.")
    assert (source.blocks, source.in_memory, source.n_rows) == (None, False, 10)


@pytest.mark.parametrize(
    ("y", "wanted", "kind"),
    [
        (lambda i: i % 2, [1, 0, 1, 1], "number"),
        (lambda i: i / 2, [3.5, 0, 3.5, 1.5], "number"),
        (lambda i: torch.tensor(i, dtype=torch.int32), [7, 0, 7, 3], "number"),
        (lambda i: np.int64(i), [7, 0, 7, 3], "number"),
        (lambda i: "ab"[i % 2], ["b", "a", "b", "b"], "text"),
        (lambda i: torch.tensor([i, 1]), [[7, 1], [0, 1], [7, 1], [3, 1]], "number"),
        (lambda i: np.array([i, 1.0]), [[7, 1], [0, 1], [7, 1], [3, 1]], "number"),
    ],
)
def test_what_y_may_be(y, wanted, kind):
    source = TorchDatasetSource(Pairs(vector, y))
    read = source.read(ROWS, ["y"])["y"]
    assert read.tolist() == wanted
    assert source.schema["y"].kind == kind
    assert source.schema["y"].shape == np.shape(wanted)[1:]


def test_a_dict_of_tensors():
    source = TorchDatasetSource(Pairs(lambda i: {"a": vector(i), "b": i}, lambda i: i))
    assert (source.schema["X"].kind, source.schema["X"].shape) == ("other", ())
    read = source.read(ROWS, ["X"])["X"]
    assert read["a"].shape == (4, 3)
    assert read["b"].tolist() == [7, 0, 7, 3]


@pytest.mark.parametrize("x", [vector, lambda i: (vector(i),), lambda i: (vector(i), None)])
def test_items_without_y(x):
    source = TorchDatasetSource(Pairs(x))
    assert list(source.schema) == ["X"]
    assert source.read(ROWS, ["X"])["X"][:, 0].tolist() == [7, 0, 7, 3]
    assert source.labels("y") is None


def test_getitems_is_used():
    dataset = Batched(vector, lambda i: i)
    source = TorchDatasetSource(dataset)
    dataset.asked.clear()
    assert source.read(ROWS, ["X", "y"])["y"].tolist() == [7, 0, 7, 3]
    assert dataset.asked == [[7, 0, 7, 3]]


def test_collate_fn_is_used():
    def collate(items):
        return {"n": torch.tensor([len(x) for x, _ in items])}, [y for _, y in items]

    source = TorchDatasetSource(Pairs(lambda i: "a" * i, lambda i: str(i)), collate)
    read = source.read(ROWS, ["X", "y"])
    assert read["X"]["n"].tolist() == [7, 0, 7, 3]
    assert read["y"].tolist() == ["7", "0", "7", "3"]


@pytest.mark.parametrize(
    ("collate", "message"),
    [
        (lambda items: torch.zeros(1), r"collate_fn.*as many rows"),
        (lambda items: (torch.zeros(len(items)), [0]), "1 labels for 4 rows"),
    ],
)
def test_collate_fn_must_return_every_row(collate, message):
    source = TorchDatasetSource(Pairs(vector, lambda i: i), collate)
    with pytest.raises(ValueError, match=message):
        source.read(ROWS, ["X", "y"])


def test_tensors_are_indexed_at_once():
    X, y = torch.randn(6, 2), torch.arange(6)
    source = TorchDatasetSource(TensorDataset(X, y))
    assert source.in_memory
    assert not source.uses_global_generators
    rows = np.array([5, 1])
    read = source.read(rows, ["X", "y"])
    assert torch.equal(read["X"], X[[5, 1]])
    assert read["y"].tolist() == [5, 1]
    assert source.labels("y").tolist() == list(range(6))
    assert list(TorchDatasetSource(TensorDataset(X)).schema) == ["X"]
    read["X"].zero_()
    assert X[5].abs().sum() > 0


@given(st.data())
def test_subsets_of_subsets(data):
    X = torch.arange(8.0)
    rows = st.lists(st.integers(0, 7), min_size=1, max_size=9)
    outer = data.draw(rows)
    inner = data.draw(st.lists(st.integers(0, len(outer) - 1), min_size=1, max_size=5))
    subset = Subset(Subset(TensorDataset(X, X * 2), outer), inner)
    source = TorchDatasetSource(subset)
    wanted = [float(X[outer[i]]) for i in inner]
    assert source.read(np.arange(len(inner)), ["X"])["X"].tolist() == wanted
    assert source.labels("y").tolist() == [2 * w for w in wanted]
    assert source.row_name(0) == f"TensorDataset[{outer[inner[0]]}]"


@pytest.mark.parametrize("name", ["targets", "labels"])
@pytest.mark.parametrize("form", [list, np.array, torch.tensor])
def test_labels_that_the_dataset_keeps(name, form, monkeypatch):
    monkeypatch.setattr(torch_datasets, "_COMPARING", 0.0)
    dataset = Pairs(vector, lambda i: i % 3, n=1000)
    setattr(dataset, name, form([i % 3 for i in range(1000)]))
    source = TorchDatasetSource(Subset(dataset, [4, 2, 3, *range(500)]))
    dataset.asked.clear()
    assert source.labels("y").tolist()[:3] == [1, 2, 0]
    assert len(dataset.asked) <= 32, "a few are compared, the others not asked for"
    assert source.labels("X") is None
    assert not source.draws_labels


@pytest.mark.parametrize(
    "kept",
    [
        [0, 1],
        [9] * 10,
        [[1], [2, 3]] * 5,
        [{"box": 1}] * 10,
        "abcdefghij",
    ],
)
def test_attributes_that_are_not_the_labels(kept):
    dataset = Pairs(vector, lambda i: i)
    dataset.targets = kept
    assert TorchDatasetSource(dataset).labels("y") is None


def test_labels_before_a_target_transform_are_not_taken():
    dataset = Pairs(vector, lambda i: i // 2)
    dataset.targets = list(range(10))
    dataset.target_transform = lambda y: y // 2
    assert TorchDatasetSource(dataset).labels("y") is None


def noisy(i):
    return torch.rand(2) + np.random.rand() + random.random()  # noqa: NPY002


@given(st.permutations(range(10)), st.integers(0, 10))
def test_random_items_depend_on_their_seed_alone(order, cut):
    source = TorchDatasetSource(Pairs(noisy, lambda i: i))
    rows, seeds = np.array(order), [100 + i for i in order]
    whole = source.read(rows, ["X"], seeds)["X"]
    parts = [source.read(rows[s], ["X"], seeds[s])["X"] for s in (slice(cut), slice(cut, None))]
    assert torch.equal(torch.cat(parts), whole)
    other = source.read(rows, ["X"], [s + 1000 for s in seeds])["X"]
    assert not (other == whole).any()
    assert torch.equal(source.read(rows, ["X"])["X"], source.read(rows, ["X"])["X"])


def test_the_global_generators_are_put_back():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    source = TorchDatasetSource(Pairs(noisy, lambda i: i))
    source.read(ROWS, ["X"])
    assert source.uses_global_generators
    assert torch.equal(torch.rand(4), expected)


def test_shapes_that_differ_name_both_rows():
    dataset = Pairs(lambda i: torch.zeros(2 + (i == 5), 4), lambda i: i)
    source = TorchDatasetSource(dataset)
    with pytest.raises(ValueError, match=r"\(2, 4\) float32 for row 1, .*\(3, 4\).* for row 5"):
        source.read(np.array([1, 4, 5]), ["X"])
    ragged_y = TorchDatasetSource(Pairs(vector, lambda i: torch.zeros(1 + (i == 5))))
    with pytest.raises(ValueError, match=r"\(1,\).*row 4, .*\(2,\).*row 5"):
        ragged_y.read(np.array([4, 5]), ["y"])


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(3)


class Uncounted(Dataset):
    def __getitem__(self, i):
        return i


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (Stream(), TypeError, r"IterableDataset.*scan_parquet.*__len__"),
        (Uncounted(), TypeError, "Uncounted has no length"),
        (Pairs(vector, n=0), ValueError, "Pairs has 0 rows"),
        (TensorDataset(*[torch.zeros(2)] * 3), TypeError, "got 3 values"),
        (Pairs(lambda i: "text", lambda i: i), TypeError, "x must be a tensor.*got str"),
        (Pairs(vector, lambda i: {"boxes": 1}), TypeError, "y must be a number.*dict"),
    ],
)
def test_what_is_refused(dataset, error, message):
    with pytest.raises(error, match=message):
        TorchDatasetSource(dataset)


def test_errors_of_the_user_keep_their_type_and_name_the_row():
    def x(i):
        if i == 3:
            raise FileNotFoundError(2, "gone", "3.jpg")
        return vector(i)

    source = TorchDatasetSource(Subset(Pairs(x, lambda i: i), [0, 3]))
    with pytest.raises(FileNotFoundError) as caught:
        source.read(np.array([0, 1]), ["X"])
    assert caught.value.filename == "3.jpg"
    assert caught.value.__notes__ == ["raised by Pairs[3]"]


def test_no_rows_keep_shape_and_dtype():
    none = np.zeros(0, np.int64)
    read = TorchDatasetSource(Pairs(vector, lambda i: "a")).read(none, ["X", "y"])
    assert read["X"].shape == (0, 3)
    assert read["y"].shape == (0,)


def test_rows_that_lack_y_are_counted():
    source = TorchDatasetSource(Pairs(lambda i: (vector(i), None if i == 3 else i)))
    with pytest.raises(ValueError, match="1 of 4 items have no y"):
        source.read(ROWS, ["y"])


def test_another_process_reads_the_pickle():
    part = TensorDataset(torch.arange(5.0)[:, None] ** 2, torch.arange(5))
    source = TorchDatasetSource(ConcatDataset([part, Subset(part, [1])]))
    assert not source.in_memory
    assert len(pickle.dumps(source)) < 3000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        read = pool.apply(source.read, (np.array([3, 5]), ["X"]))
    assert read["X"].tolist() == [[9.0], [1.0]]


class Merged(Dataset):
    """Its labels are not those that it keeps beside them."""

    targets = tuple(range(40))

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return torch.zeros(2), int(i >= 20)


def test_kept_labels_that_items_contradict_are_not_believed():
    assert TorchDatasetSource(Merged()).labels("y") is None
    assert sklearnish.as_dataset(Merged()).target.tolist() == [0] * 20 + [1] * 20


def test_a_collate_fn_makes_the_batches():
    def stack(pairs):
        return torch.stack([x + 1 for x, _ in pairs]), torch.tensor([y for _, y in pairs])

    X, y = next(sklearnish.as_dataset(Merged(), collate_fn=stack).batches(40))
    assert bool((X == 1).all())
    assert y.sum() == 20


class Repaired(Dataset):
    """A few of the labels that it keeps are wrong, and its items say so."""

    def __init__(self, repaired=(3, 5, 7)):
        self.targets = [int(i >= 200) for i in range(400)]
        self.repaired = repaired

    def __len__(self):
        return 400

    def __getitem__(self, i):
        return torch.tensor([float(i)]), 1 if i in self.repaired else self.targets[i]


def test_the_labels_of_items_count():
    ds = sklearnish.as_dataset(Repaired())
    assert (
        ds.target[:9].tolist() == [int(ds[i][1]) for i in range(9)] == [0, 0, 0, 1, 0, 1, 0, 1, 0]
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_kept_label_that_turns_out_wrong_is_an_error(num_workers, monkeypatch):
    monkeypatch.setattr(torch_datasets, "_COMPARING", 0.0)
    ds = sklearnish.as_dataset(Subset(Repaired([7]), [*range(5, 300)]))
    assert ds.target[2] == 0, "it was not among those compared"
    model = sklearnish.TorchClassifier(max_epochs=1, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"Repaired\[7\] has the label 1, but .targets.* has 0"):
        model.fit(ds)
    with pytest.raises(ValueError, match=r"Repaired\[7\] has the label 1"):
        model.fit(np.arange(4.0)[:, None], [0, 1, 0, 1]).predict(ds)
    with pytest.raises(ValueError, match=r"Repaired\[7\] has the label 1"):
        model.score(Subset(Repaired([7]), [*range(5, 300)]))


@pytest.mark.parametrize("collate", [None, torch.utils.data.default_collate])
def test_tensors_that_require_grad_are_detached(collate):
    X, y = torch.ones(6, 2, requires_grad=True), torch.arange(6.0, requires_grad=True)
    for dataset in (TensorDataset(X, y), Pairs(lambda i: X[i], lambda i: y[i], n=6)):
        read = TorchDatasetSource(dataset, collate).read(np.array([5, 1]), ["X", "y"])
        assert not read["X"].requires_grad
        assert not read["y"].requires_grad
        assert read["y"].tolist() == [5.0, 1.0]
    sklearnish.TorchRegressor(max_epochs=2).fit(TensorDataset(X, y))
