import sys

import numpy as np
import pandas as pd
import pytest

import sklearnish as sn
from tests.data import shards
from tests.data.pictures import encoded, smooth


def test_images_are_classified(tmp_path):
    dark = [encoded(smooth(8, 8, i) // 4 + 190 * (i % 2), "PNG") for i in range(40)]
    samples = [{"__key__": f"{i}", "png": image, "cls": i % 2} for i, image in enumerate(dark)]
    shards.write(tmp_path / "train-%d.tar", samples, maxcount=16)
    ds = sn.scan_shards(f"{tmp_path}/train-*.tar", "png", target="cls")
    assert ds.shape == (40, 3, 8, 8)
    clf = sn.TorchClassifier(max_epochs=20, batch_size=16, random_state=0, num_workers=0)
    assert clf.fit(ds[:30]).score(ds[30:], ds[30:].target) > 0.8


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="expected a path"):
        sn.scan_shards(pd.DataFrame({"a": [1.0]}), "jpg")
    with pytest.raises(FileNotFoundError, match=r"no file matches train-\*.tar"):
        sn.scan_shards("train-*.tar", "jpg")


def test_pillow_is_needed_for_images_alone(tmp_path, monkeypatch):
    from sklearnish.data import _decode

    shards.write(tmp_path / "%d.tar", shards.some(2))
    monkeypatch.setitem(sys.modules, "PIL", None)
    _decode._pillow.cache_clear()
    assert np.all(sn.scan_shards(tmp_path, "npy").read([0]).X.numpy() == [0, 1, 2, 3])
    with pytest.raises(ImportError, match=r'pip install "sklearnish\[images\]"'):
        sn.scan_shards(tmp_path, "png")
