import pickle

import numpy as np
import pytest

from sklearnish.data._files.maps import described

SHAPE = (50, 4)


@pytest.fixture
def mapped(tmp_path):
    array = np.memmap(tmp_path / "x.bin", "float32", "w+", offset=64, shape=SHAPE)
    array[:] = np.arange(200).reshape(SHAPE)
    return array


PARTS = {
    "all": lambda X: X,
    "rows": lambda X: X[10:20][1:],
    "columns": lambda X: X[:, :-1],
    "last column": lambda X: X[:, -1],
    "every other": lambda X: X[::2, ::3],
    "backwards": lambda X: X[::-1, ::-1],
    "transposed": lambda X: X.T,
    "another axis": lambda X: X[:, None],
    "reshaped": lambda X: X.reshape(25, 2, 4)[:, 1],
    "one row": lambda X: X[5:6],
    "as integers": lambda X: X[:, ::2].view("uint32"),
    "plain array": lambda X: np.asarray(X)[3:],
    "plain array with gaps": lambda X: np.asarray(X[1:])[::3],
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_mapped_again(mapped, name):
    part = PARTS[name](mapped)
    text = pickle.dumps(described(part, "r"))
    again = pickle.loads(text)()
    assert len(text) < 1000
    assert type(again) is type(part)
    np.testing.assert_array_equal(again, part)
    mapped[:] += 1  # the same file
    np.testing.assert_array_equal(again, part)
    with pytest.raises(ValueError, match="read-only"):
        again[:] = 0


def test_what_may_be_written_to_stays_so(mapped):
    described(mapped[:, 1])()[:] = -1
    assert (mapped[:, 1] == -1).all()


def test_other_arrays_are_not_described(mapped, tmp_path):
    private = np.memmap(tmp_path / "x.bin", "float32", "c", offset=64, shape=SHAPE)
    others = np.ones(3), mapped * 2, np.array(mapped), mapped[:0], private[1:], [1], None
    assert [described(other) for other in others] == [None] * len(others)
    (tmp_path / "x.bin").unlink()
    assert described(mapped) is None
