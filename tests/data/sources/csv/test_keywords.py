import pytest

from tests.data.csv_files import scan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_unknown_keywords_list_the_known(tmp_path):
    with pytest.raises(TypeError, match=r"'skipfooter'.*supports: sep, delimiter"):
        scan(tmp_path, "a\n1\n", skipfooter=1)
    with pytest.raises(TypeError, match="one per column"):
        scan(tmp_path, "a\n1\n", na_values={"a": 1})
    with pytest.raises(TypeError, match="skiprows"):
        scan(tmp_path, "a\n1\n", skiprows=[1])
