import numpy as np
import pytest

from sklearnish.data._chunks.files import ArrayFile, ArrayFiles, Layout


def test_a_format_must_answer_everything():
    for kind in (ArrayFile, ArrayFiles):
        with pytest.raises(TypeError, match="abstract"):
            kind()


def test_rows_without_chunks_are_equally_cheap():
    assert Layout((3, 2), np.dtype("f4")).chunk_rows is None
