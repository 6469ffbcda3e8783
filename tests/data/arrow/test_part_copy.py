import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data._arrow.part_copy import PartCopy, copied
from sklearnish.data._arrow.table_file import CacheSource
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._sources.parquet.source import ParquetSource

N_FILES, N = 6, 300


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def write(folder):
    """Write six files of 50 rows, in row groups of 20 rows, in folders that name a column."""
    for k in range(N_FILES):
        path = folder / f"k={k % 3}" / f"{k}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": np.arange(50 * k, 50 * k + 50)}), path, row_group_size=20)
    return ParquetSource(sorted(folder.rglob("*.parquet"), key=lambda path: path.name))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write(tmp_path_factory.mktemp("part"))


@settings(max_examples=30)
@given(files=st.sets(st.integers(0, N_FILES - 1), min_size=1, max_size=2), data=st.data())
def test_rows_keep_their_numbers(source, files, data):
    blocks = data.draw(st.lists(st.sampled_from([3 * k + i for k in files for i in range(3)])))
    blocks += [3 * k for k in files]
    made = copied(source, ["a", "k"], 16, np.array(blocks))
    assert isinstance(made, PartCopy)
    assert (made.n_rows, made.blocks[0], made.blocks[-1]) == (N, 0, N)
    there = [row for k in sorted(files) for row in range(50 * k, 50 * k + 50)]
    rows = np.array(sorted(data.draw(st.lists(st.sampled_from(there)))) or there)
    found = made.read(rows, ["a", "k"])
    assert found["a"].to_pylist() == rows.tolist()
    assert found["k"].to_pylist() == (rows // 50 % 3).tolist()
    inside = np.isin(made.blocks[:-1], there)
    assert np.diff(made.blocks)[inside].max() <= 16
    assert made.row_name(int(rows[0])) == source.row_name(int(rows[0]))


def test_only_the_files_of_the_rows_are_read(source, tmp_path):
    source = write(tmp_path)
    paths = [path for i, path in enumerate(source.files) if i != 4]
    for manifest, path in zip(source._manifests, source.files, strict=True):
        if path in paths:
            damage(manifest)
    made = copied(source, ["a"], 16, np.array([12]))
    assert made.read(np.arange(200, 250), ["a"])["a"].to_pylist() == list(range(200, 250))


def damage(manifest):
    """Overwrite a file so that only who reads it notices."""
    with Path(manifest.path).open("r+b") as file:
        file.write(bytes(manifest.size))
    os.utime(manifest.path, ns=(manifest.mtime_ns, manifest.mtime_ns))


def test_where_most_files_are_needed_all_are_copied(source):
    assert isinstance(copied(source, ["a"], 16, np.array([0, 3, 6])), CacheSource)


def test_files_that_change_are_noticed(tmp_path):
    source = write(tmp_path)
    made = copied(source, ["a"], 16, np.array([0]))
    made.check_unchanged()
    pq.write_table(pa.table({"a": [1]}), source.files[5])
    with pytest.raises(DatasetChangedError, match=r"5\.parquet changed"):
        made.check_unchanged()
