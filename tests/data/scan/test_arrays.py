import h5py
import numpy as np
import pandas as pd
import pytest

import sklearnish as sn


def test_files_are_stacked_and_scikit_learn_splits_them(tmp_path):
    from sklearn.model_selection import cross_val_score

    rng = np.random.default_rng(0)
    for i in range(2):
        y = rng.integers(0, 2, 100)
        with h5py.File(tmp_path / f"{i}.h5", "w") as file:
            file["y"] = y
            file.create_dataset("x", data=rng.normal(size=(100, 3)) + 4 * y[:, None], chunks=True)
    ds = sn.scan_hdf5(f"{tmp_path}/*.h5", "x", target="y")
    assert ds.shape == (200, 3)
    clf = sn.TorchClassifier(max_epochs=10, lr=0.01, batch_size=32, random_state=0, num_workers=0)
    assert cross_val_score(clf, ds, ds.target, cv=2).min() > 0.9


def test_data_in_the_place_of_a_path_are_refused():
    with pytest.raises(TypeError, match="expected a path"):
        sn.scan_hdf5(pd.DataFrame({"a": [1.0]}), "a")
    with pytest.raises(FileNotFoundError, match=r"nowhere.h5 does not exist"):
        sn.scan_hdf5("nowhere.h5", "a")


@pytest.mark.parametrize("scan", [sn.scan_hdf5, sn.scan_zarr])
@pytest.mark.parametrize("form", [lambda url: url, lambda url: [url]])
def test_urls_are_refused_without_their_secrets(scan, form):
    with pytest.raises(ValueError, match="s3://b/a is a URL; only local files can be read here"):
        scan(form("s3://me:secret@b/a"), "npy")
