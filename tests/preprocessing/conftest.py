import pytest

from sklearnish.preprocessing._streaming import passes
from tests.preprocessing.rows import FRAME, in_file


@pytest.fixture
def scanned(tmp_path, monkeypatch):
    """Scan columns of the table, with a target; passes see few rows at a time."""
    monkeypatch.setattr(passes, "_ROWS", 200)
    return lambda columns, target="label": in_file(FRAME, tmp_path / "t.parquet", columns, target)
