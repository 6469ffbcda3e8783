import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data._sources.hugging_face.rows import Rows

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

N = 300


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Give a Dataset whose rows are mapped from 20 files."""
    folder = tmp_path_factory.mktemp("rows")
    i = range(N)
    columns = {
        "a": i,
        "t": [None if j % 9 == 0 else f"t{j}" for j in i],
        "v": [[float(j), -1.0] for j in i],
        "l": [list(range(j % 4)) for j in i],
        "s": [{"x": j, "y": str(j)} for j in i],
        "m": [[[j, 2], [3, 4]] for j in i],
    }
    number = datasets.Value("int64")
    features = datasets.Features(
        {
            "a": number,
            "t": datasets.Value("string"),
            "v": datasets.List(datasets.Value("float32"), length=2),
            "l": datasets.List(number),
            "s": {"x": number, "y": datasets.Value("string")},
            "m": datasets.Array2D((2, 2), "int64"),
        }
    )
    datasets.Dataset.from_dict(columns, features).save_to_disk(folder, num_shards=20)
    return datasets.load_from_disk(folder)


CHANGES = {
    "all": lambda X: X,
    "select": lambda X: X.select([7, 3, 3, 299, 0]),
    "range": lambda X: X.select(range(50, 150)),
    "shuffle": lambda X: X.shuffle(0),
    "filter": lambda X: X.filter(lambda a: a % 3 == 0, input_columns="a"),
    "split": lambda X: X.train_test_split(0.2, seed=1)["train"].shuffle(2),
    "reverse": lambda X: X.select(range(N - 1, -1, -1)),
    "shard": lambda X: X.shard(3, 1),
    "of two kinds": lambda X: datasets.concatenate_datasets([X.shuffle(0), X.select([1, 2])]),
}


@pytest.fixture(scope="module", params=CHANGES)
def changed(request, saved):
    """Give a Dataset, and all that it shows."""
    X = CHANGES[request.param](saved)
    return Rows(X), X.with_format("arrow")[:].to_pylist()


@settings(max_examples=10)
@given(data=st.data())
def test_rows_are_those_that_the_dataset_shows(changed, data):
    source, shown = changed
    numbers = st.integers(0, len(shown) - 1)
    rows = data.draw(st.lists(numbers, max_size=20)) or list(range(len(shown)))
    for name in shown[0]:
        found = source.take(np.array(rows), name).to_pylist()
        assert found == [shown[row][name] for row in rows], name


def test_no_rows(saved):
    for name in saved.column_names:
        assert len(Rows(saved).take(np.arange(0), name)) == 0


def test_rows_in_files_are_pickled_as_paths(saved):
    few = pickle.dumps(Rows(saved.shuffle(0)))
    assert len(few) < 20 * 300
    rows = np.array([5, 200, 3])
    assert pickle.loads(few).take(rows, "a").equals(Rows(saved.shuffle(0)).take(rows, "a"))


def test_a_stretch_is_not_copied(saved):
    taken = Rows(saved).take(np.arange(10, 40), "a")
    stored = saved.data.table.column("a").slice(10, 30)
    assert [c.buffers()[1].address for c in taken.chunks] == [
        c.buffers()[1].address for c in stored.chunks
    ]


@pytest.mark.parametrize(
    ("change", "in_order"),
    [("all", True), ("range", True), ("filter", True), ("shuffle", False), ("reverse", False)],
)
def test_the_order_of_the_files_is_noticed(saved, change, in_order):
    assert Rows(CHANGES[change](saved)).are_in_order() == in_order


def test_lengths_of_lists(saved):
    rows = [3, 299, 0]
    lengths = Rows(saved.select(rows)).list_lengths("l")
    assert lengths.to_pylist() == [row % 4 for row in rows]
