import pickle

import h5py
import numpy as np
import pytest
import torch

import sklearnish as sn
from sklearnish.data._sources.hdf5 import hdf5_source

X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
Y = np.arange(300) % 3
IDS = np.arange(300, dtype=np.uint16)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X, chunks=(20, 4), compression="gzip")
        file.create_dataset("group/ids", data=IDS)
        file["y"], file["few"], file["words"] = Y, Y[:7], list("abc" * 100)
    return path


def test_one_array_is_x(path):
    ds = sn.scan_hdf5(path, "x", target="y")
    batch = ds.read([299, 0, 0, 7])
    assert torch.equal(batch.X, torch.from_numpy(X[[299, 0, 0, 7]]))
    assert batch.y.tolist() == Y[[299, 0, 0, 7]].tolist()
    np.testing.assert_array_equal(ds.target, Y)


@pytest.mark.parametrize(
    ("names", "keys"),
    [(["x", "group/ids"], ["x", "group/ids"]), ({"a": "x", "b": "group/ids"}, ["a", "b"])],
)
def test_several_arrays_are_a_dict_of_inputs(path, names, keys):
    batch = sn.scan_hdf5(path, names, target="y").read([5, 299])
    assert list(batch.X) == keys
    assert batch.X[keys[0]].tolist() == X[[5, 299]].tolist()
    assert batch.X[keys[1]].tolist() == [5, 299]
    assert not batch.X[keys[1]].is_floating_point()


class TwoInputs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias, self.linear = torch.nn.Embedding(300, 3), torch.nn.Linear(4, 3)

    def forward(self, table, row):
        return self.linear(table) + self.bias(row)


def test_a_module_of_two_inputs_is_trained(path):
    ds = sn.scan_hdf5(path, {"table": "x", "row": "group/ids"}, target="y")
    clf = sn.TorchClassifier(TwoInputs, max_epochs=2, lr=0.3, random_state=0, num_workers=0)
    losses = [record["train_loss"] for record in clf.fit(ds).history_]
    assert losses[1] < losses[0]
    assert clf.predict(ds).shape == (300,)


@pytest.mark.parametrize("target", [Y, Y.tolist(), list("abc" * 100), np.array(["a"] * 300, "O")])
def test_labels_may_be_in_memory(path, target):
    ds = sn.scan_hdf5(path, "x", target=target)
    assert ds.target.tolist() == list(target)
    assert len(ds.read([3]).y) == 1


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        ("x", "few", "'few' has 7 rows and .*a.h5 has 300"),
        ("x", [1, 2], "the target has 2 rows"),
        (["x", "few"], None, "need one number of rows, got {'x': 300, 'few': 7}"),
        ("words", None, "'X' in .* holds string; rows must be numbers"),
        ("x", "nowhere", "a.h5 has no dataset 'nowhere'. Its datasets are 'few', 'group/ids', "),
    ],
)
def test_what_does_not_fit_is_refused(path, names, target, message):
    with pytest.raises(ValueError, match=message):
        sn.scan_hdf5(path, names, target=target)


@pytest.mark.parametrize("names", [3, [], ["x", 3], ["x", "x"], {1: "x"}, {"a": 2}, b"x"])
def test_other_names_are_refused(path, names):
    with pytest.raises(TypeError, match="X takes a name"):
        sn.scan_hdf5(path, names)


@pytest.mark.parametrize("target", [3.5, [None, 2], [object()] * 300])
def test_other_targets_are_refused(path, target):
    with pytest.raises(TypeError, match="target takes a name"):
        sn.scan_hdf5(path, "x", target=target)


def test_a_pickle_holds_paths_and_no_blocks(path):
    source = hdf5_source(path, "x", "y").finer(40)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.blocks, source.blocks)
    np.testing.assert_array_equal(again.read(np.arange(5), ["X"])["X"], X[:5])
    assert len(pickle.dumps(hdf5_source(path, "x"))) < 2000


@pytest.mark.filterwarnings("ignore:.*is sorted or grouped by label")
def test_a_file_sorted_by_label_is_shuffled_in_parts_of_chunks(path, tmp_path):
    with h5py.File(tmp_path / "sorted.h5", "w") as file:
        file.create_dataset("x", data=np.arange(4000.0), chunks=(1000,))
    ds = sn.scan_hdf5(tmp_path / "sorted.h5", "x", target=np.arange(4000) // 1000)
    batches = list(ds.batches(100, shuffle=True, random_state=0, shuffle_memory=8 * 4 * 1000))
    assert all(len(y.unique()) > 1 for _, y in batches)
    assert sorted(torch.cat([X for X, _ in batches]).tolist()) == list(range(4000))


def test_chunks_that_are_read_several_times_are_told(path):
    with pytest.warns(UserWarning, match=r"each chunk is read up to 4 times an epoch.*ds.cache"):
        hdf5_source(path, "x").finer(5)
