import os
import pickle
import subprocess
import sys

import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._fingerprint import fingerprint
from sklearnish.data._sources.npy import source as npy
from sklearnish.data._sources.npy.source import NpySource
from tests.data.object_server import serving


def save(path, array):
    np.save(path, array)
    return path


@pytest.fixture
def parts(tmp_path):
    """Three files of 5, 1 and 9 rows, and what they hold together."""
    X = np.random.default_rng(0).normal(size=(15, 3, 2)).astype(np.float32)
    cut = np.split(X, [5, 6])
    return [save(tmp_path / f"{i}.npy", part) for i, part in enumerate(cut)], X


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.integers(0, 14), max_size=40), ascending=st.booleans())
def test_any_rows_come_in_their_order(parts, rows, ascending):
    paths, X = parts
    rows = np.array(sorted(rows) if ascending else rows, dtype=np.int64)
    read = NpySource(paths).read(rows, ["X"])["X"]
    np.testing.assert_array_equal(read, X[rows])


@pytest.mark.parametrize("fraction", [1.0, 0.995, 0.3])
def test_runs_and_scattered_rows_are_the_same_rows(tmp_path, fraction):
    X = np.arange(4000.0).reshape(2000, 2)
    source = NpySource(save(tmp_path / "a.npy", X))
    rows = np.flatnonzero(np.random.default_rng(1).random(2000) < fraction)
    np.testing.assert_array_equal(source.read(rows, ["X"])["X"], X[rows])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4.0),
        np.arange(8).reshape(4, 2) > 3,
        np.arange(24, dtype=np.uint8).reshape(4, 1, 2, 3),
        np.arange(8, dtype=">f4").reshape(4, 2),
        np.asfortranarray(np.arange(8.0).reshape(4, 2)),
        np.empty((4, 0)),
    ],
)
def test_ranks_and_dtypes(tmp_path, array):
    source = NpySource(save(tmp_path / "a.npy", array))
    read = source.read(np.array([1, 3]), ["X"])["X"]
    np.testing.assert_array_equal(read, array[[1, 3]])
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.dtype.isnative
    assert source.schema["X"].shape == array.shape[1:]


def test_fields_are_described(tmp_path):
    source = NpySource(
        save(tmp_path / "a.npy", np.zeros((4, 2), np.float32)), np.array(list("abab"))
    )
    assert (source.schema["X"].dtype, source.schema["X"].kind) == ("float32", "number")
    assert (source.schema["y"].kind, source.schema["y"].shape) == ("text", ())
    assert source.n_rows == 4
    assert not source.in_memory


def test_a_read_is_a_copy_of_its_own(parts):
    paths, X = parts
    source = NpySource(paths)
    first = source.read(np.arange(15), ["X"])["X"]
    assert type(first) is np.ndarray
    assert first.flags.owndata
    assert first.flags.writeable
    assert first.flags.c_contiguous
    first[:] = 0
    np.testing.assert_array_equal(source.read(np.arange(15), ["X"])["X"], X)


def test_blocks_are_about_a_mebibyte_and_end_with_files(tmp_path):
    row_bytes = 4096
    paths = [
        save(tmp_path / f"{n}.npy", np.zeros((n, row_bytes // 4), np.float32)) for n in (300, 600)
    ]
    assert NpySource(paths).blocks.tolist() == [0, 256, 300, 556, 812, 900]
    assert npy.BLOCK_BYTES // row_bytes == 256


def test_a_row_larger_than_a_block_is_a_block(tmp_path):
    source = NpySource(save(tmp_path / "a.npy", np.zeros((3, 2**21), np.uint8)))
    assert source.blocks.tolist() == [0, 1, 2, 3]


def test_the_target_is_an_array_or_a_file(tmp_path, parts):
    paths, _ = parts
    y = np.arange(15)
    given = NpySource(paths, y)
    np.testing.assert_array_equal(given.labels("y"), y)
    np.testing.assert_array_equal(given.read(np.array([3, 7]), ["y"])["y"], [3, 7])
    stored = NpySource(paths, save(tmp_path / "y.npy", y))
    assert stored.labels("y") is None
    np.testing.assert_array_equal(stored.read(np.array([3, 7]), ["y"])["y"], [3, 7])


@pytest.mark.parametrize("as_file", [False, True])
def test_a_target_of_other_length_is_refused(tmp_path, parts, as_file):
    y = np.arange(14)
    with pytest.raises(ValueError, match=r"has 14 rows and .* has 15"):
        NpySource(parts[0], save(tmp_path / "y.npy", y) if as_file else y)


def test_it_pickles_in_little_and_reads_again(tmp_path):
    path = save(tmp_path / "a.npy", np.ones((200_000, 10)))
    source = NpySource(path)
    source.read(np.arange(10), ["X"])
    data = pickle.dumps(source)
    assert len(data) < 2000
    copy = pickle.loads(data)
    np.testing.assert_array_equal(copy.blocks, source.blocks)
    assert copy.read(np.array([199_999]), ["X"])["X"].tolist() == [[1.0] * 10]


def test_another_process_reads_the_pickle(tmp_path, parts):
    paths, X = parts
    (tmp_path / "p").write_bytes(pickle.dumps(NpySource(paths)))
    code = (
        "import pickle, sys, numpy as np; s = pickle.load(open(sys.argv[1], 'rb'));"
        "print(s.read(np.arange(15), ['X'])['X'].sum())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "p"], capture_output=True, text=True, check=True
    )
    assert float(run.stdout) == pytest.approx(X.sum(), rel=1e-5)


def test_a_replaced_file_is_noticed(parts):
    paths, _ = parts
    source = NpySource(paths)
    source.read(np.arange(15), ["X"])
    source.check_unchanged()
    other = paths[2].with_name("other")
    with other.open("wb") as file:
        np.save(file, np.zeros((9, 3, 2), np.float32))
    other.replace(paths[2])
    source.read(np.arange(5), ["X"])  # of another file
    with pytest.raises(DatasetChangedError, match=r"2\.npy changed"):
        source.read(np.arange(15), ["X"])
    with pytest.raises(DatasetChangedError, match=r"2\.npy changed"):
        source.check_unchanged()


def test_a_file_cut_short_is_an_error_not_a_crash(parts):
    paths, _ = parts
    source = NpySource(paths)
    source.read(np.arange(15), ["X"])
    os.truncate(paths[0], 10)
    with pytest.raises(DatasetChangedError, match=r"0\.npy changed"):
        source.read(np.arange(5), ["X"])


def test_more_files_than_may_be_open(tmp_path):
    for i in range(150):
        save(tmp_path / f"{i:03}.npy", np.full((2, 3), i))
    code = (
        "import resource, sys, numpy as np\n"
        "from sklearnish.data._sources.npy.source import NpySource\n"
        "source = NpySource(sys.argv[1], target=sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (140, 140))\n"
        "for rows in (np.arange(300), np.arange(299, -1, -1)):\n"
        "    out = source.read(rows, ['X', 'y'])\n"
        "    assert (out['X'][:, 0] == rows // 2).all() and (out['y'] == out['X']).all()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_words_as_a_target_name_the_way_out(parts):
    for words in (["cat", "dog"], ("cat",), np.array(["cat"]).tolist()):
        with pytest.raises(FileNotFoundError, match=r"cat does not exist.*np\.asarray\(labels\)"):
            NpySource(parts[0], target=words)
    with pytest.raises(FileNotFoundError) as error:
        NpySource(parts[0], target="y.npy")
    assert "asarray" not in str(error.value)


def test_paths_may_be_an_iterator_and_a_folder(parts):
    paths, X = parts
    for form in (iter(paths), paths[0].parent):
        np.testing.assert_array_equal(NpySource(form).read(np.arange(15), ["X"])["X"], X)
    with pytest.raises(FileNotFoundError, match="empty"):
        NpySource([])


def test_rows_are_named(parts):
    assert NpySource(parts[0]).row_name(7).startswith("row 1 of ")
    assert NpySource(parts[0]).row_name(7).endswith("2.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, "a", None], dtype=object), "Python objects"),
        (np.zeros(3, [("a", "f4")]), "records"),
        (np.zeros(3, [("é→", "f4")]), "records"),
        (np.array(3.0), "a single value"),
        (np.zeros((0, 4)), "0 rows"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_what_cannot_be_rows_is_refused(tmp_path, array, message):
    with pytest.raises(ValueError, match=message) as caught:
        NpySource(save(tmp_path / "bad.npy", array))
    assert "bad.npy" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 8, 60, 128 + 79])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = save(tmp_path / "bad.npy", np.arange(10.0))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"bad\.npy"):
        NpySource(path)


def test_an_archive_or_text_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npz cannot be read as \.npy.*numpy\.save"):
        NpySource(tmp_path / "a.npz")


@pytest.mark.parametrize("other", [np.zeros((2, 4)), np.zeros((2, 3), np.float32)])
def test_files_of_two_kinds_cannot_be_stacked(tmp_path, other):
    paths = [save(tmp_path / "a.npy", np.zeros((2, 3))), save(tmp_path / "b.npy", other)]
    with pytest.raises(ValueError, match=r"b\.npy has rows of shape"):
        NpySource(paths)


@pytest.mark.parametrize("array", [np.array([["a"]]), np.array([[1j]])])
def test_rows_that_are_not_numbers_are_refused(tmp_path, array):
    np.save(tmp_path / "X.npy", array)
    with pytest.raises(ValueError, match=r"X\.npy holds (str|complex)"):
        NpySource(tmp_path / "X.npy")


def test_objects_of_a_store_are_read_from_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    X, y = np.arange(3000.0).reshape(1000, 3), np.arange(1000) % 2
    for name, part in (("0.npy", X[:400]), ("1.npy", X[400:])):
        np.save(tmp_path / name, part)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "bad.npy").write_bytes(b"no array" * 20)
    http = fsspec.filesystem("http", skip_instance_cache=True)
    with serving(tmp_path) as server:
        urls = [server.url("0.npy"), server.url("1.npy")]
        source = NpySource(urls, server.url("y.npy"), http)
        assert source.files == [*urls, server.url("y.npy")]
        server.asked.clear()
        rows = np.array([999, 3, 3, 400])
        for read in (source, pickle.loads(pickle.dumps(source)), source.finer(10)):
            assert (read.read(rows, ["X"])["X"] == X[rows]).all()
            assert (read.read(rows, ["y"])["y"] == y[rows]).all()
        assert server.asked == []
        assert source.row_name(401) == f"row 1 of {urls[1]}"
        before = fingerprint(source.identity())
        for path in (tmp_path / "cache").iterdir():
            path.unlink()
        assert fingerprint(NpySource(urls, server.url("y.npy"), http).identity()) == before
        with pytest.raises(ValueError, match=r"^http://.*bad\.npy cannot be read as \.npy"):
            NpySource(server.url("bad.npy"), filesystem=http)
        source.check_unchanged()
        np.save(tmp_path / "1.npy", X[400:] + 1)
        with pytest.raises(DatasetChangedError, match=r"http://.*1\.npy changed since"):
            source.check_unchanged()
        assert fingerprint(NpySource(urls, server.url("y.npy"), http).identity()) != before
