import pytest

from sklearnish.data._files import limits


@pytest.mark.parametrize("name", limits.DEFAULTS)
def test_a_limit_is_raised_by_its_variable(monkeypatch, name):
    most = limits.limit(name)
    limits.check_limit(name, most, "a.csv has this much")
    with pytest.raises(ValueError, match=f"a.csv has this much, above .*{most:,}.* {name} "):
        limits.check_limit(name, most + 1, "a.csv has this much")
    monkeypatch.setenv(name, str(most + 1))
    limits.check_limit(name, most + 1, "a.csv has this much")
    monkeypatch.setenv(name, "")
    assert limits.limit(name) == most


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "1GB", " 5"])
def test_a_limit_is_a_whole_number(monkeypatch, text):
    monkeypatch.setenv(limits.PIXELS, text)
    with pytest.raises(ValueError, match="SKLEARNISH_MAX_PIXELS must be a positive integer"):
        limits.limit(limits.PIXELS)
