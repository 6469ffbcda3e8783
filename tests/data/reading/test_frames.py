import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sklearnish as sn
from sklearnish.data import read_frames

N = 100
FRAME = pd.DataFrame({"row": np.arange(N), "text": [f"t{i % 7}" for i in range(N)]})


@pytest.fixture(scope="module", params=["parquet", "csv", "frame", "npy"])
def ds(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    if request.param == "csv":
        FRAME.to_csv(folder / "t.csv", index=False)
        return sn.scan_csv(folder / "t.csv")
    if request.param == "npy":
        np.save(folder / "X.npy", np.arange(N, dtype=np.int64)[:, None])
        return sn.scan_npy(folder / "X.npy")
    if request.param == "frame":
        return sn.as_dataset(FRAME)
    FRAME.to_parquet(folder / "t.parquet", row_group_size=9)
    return sn.scan_parquet(folder / "t.parquet")


@settings(max_examples=20)
@given(rows=st.lists(st.integers(0, N - 1), min_size=1), n_rows=st.integers(1, 40))
def test_every_row_of_a_view_comes_once_with_its_position(ds, rows, n_rows):
    view = ds[rows]
    seen = np.full(len(view), -1)
    for table, positions in read_frames(view, n_rows):
        assert isinstance(table, pa.Table)
        assert 0 < len(table) == len(positions) <= n_rows
        assert positions.dtype == np.int64
        seen[positions] = table.column(0).to_numpy()
    assert seen.tolist() == rows


def test_each_block_is_read_once(tmp_path):
    FRAME.to_parquet(tmp_path / "t.parquet", row_group_size=9)
    ds = sn.scan_parquet(tmp_path / "t.parquet")
    order = np.random.default_rng(0).permutation(N)
    assert sum(len(table) for table, _ in read_frames(ds[order], 4)) == N
    assert ds.source.blocks_read == 12


def test_functions_of_frames_are_applied_and_others_refused(tmp_path):
    ds = sn.as_dataset(FRAME).map_frames(lambda df: df.assign(double=df["row"] * 2))
    ((frame, positions),) = read_frames(ds, frame="pandas")
    assert frame["double"].tolist() == (2 * positions).tolist()
    with pytest.raises(ValueError, match="map_frames comes before map"):
        next(read_frames(ds.select(["row"]).map(torch.neg)))


def test_mixed_types_are_named_by_row():
    frame = pd.DataFrame({"a": np.array([1, 2, "x", 3], dtype=object)})
    with pytest.raises(ValueError, match=r"Column 'a' .*'x' \(str\) in row 2 of DataFrame"):
        list(read_frames(sn.as_dataset(frame)[1:]))
