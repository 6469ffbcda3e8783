"""CSV files for tests: written, scanned and read."""

import io

import numpy as np
import pandas as pd

from sklearnish.data._sources.csv.source import CsvSource


def scan(tmp_path, text, **keywords):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CsvSource(path, **keywords)


def everything(source):
    names = list(source.schema)
    return {n: c.to_pylist() for n, c in source.read(np.arange(source.n_rows), names).items()}


def dtypes(source):
    return [field.dtype for field in source.schema.values()]


def check_like_pandas(source, text, **keywords):
    """Compare names and values; numbers by value, missing by being missing."""
    data = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    want = pd.read_csv(data, low_memory=False, **keywords)
    got = everything(source)
    assert list(got) == [str(name) for name in want.columns]
    for i, name in enumerate(got):
        column = want.iloc[:, i]
        assert (source.schema[name].kind == "text") == any(isinstance(v, str) for v in column)
        expected = [None if pd.isna(v) else v for v in column.tolist()]
        actual = [None if v is None or v != v else v for v in got[name]]
        assert actual == expected


BLOCKS = f"{'7' * 72},1\n" * 30_000  # more than two blocks of the parser
