import pytest

from sklearnish.data import _limits


@pytest.mark.parametrize("name", _limits.DEFAULTS)
def test_a_limit_is_raised_by_its_variable(monkeypatch, name):
    most = _limits.limit(name)
    _limits.check_limit(name, most, "a.csv has this much")
    with pytest.raises(ValueError, match=f"a.csv has this much, above .*{most:,}.* {name} "):
        _limits.check_limit(name, most + 1, "a.csv has this much")
    monkeypatch.setenv(name, str(most + 1))
    _limits.check_limit(name, most + 1, "a.csv has this much")
    monkeypatch.setenv(name, "")
    assert _limits.limit(name) == most


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "1GB", " 5"])
def test_a_limit_is_a_whole_number(monkeypatch, text):
    monkeypatch.setenv(_limits.PIXELS, text)
    with pytest.raises(ValueError, match="SKLEARNISH_MAX_PIXELS must be a positive whole"):
        _limits.limit(_limits.PIXELS)
