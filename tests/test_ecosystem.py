"""scikit-learn with our estimators in it: every cell of docs/ecosystem.md is found here again.

Rows of files are tried as if more than 100 bytes were too many for an array first, so that the
page says what reads rows as it needs them, and what copies them.
"""

import inspect

import pytest

from sklearnish.data import _pandas
from tests.ecosystem import around, contract, inspecting, selecting
from tests.ecosystem.data import make_rows
from tests.pages import table

PAGE = table("ecosystem.md", "what")
PARTS = (contract, around, selecting, inspecting)
CASES = {
    case.__doc__: case
    for part in PARTS
    for name, case in inspect.getmembers(part, inspect.isfunction)
    if case.__module__ == part.__name__ and not name.startswith("_")
}

# scikit-learn gives these the rows as an array, without the names that fit saw.
NO_NAMES = "ignore:X does not have valid feature names:UserWarning"


@pytest.fixture(autouse=True)
def _no_window():
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def test_the_page_has_every_case():
    assert set(PAGE) == set(CASES)


@pytest.mark.parametrize("what", CASES)
def test_arrays(what):
    assert PAGE[what][0] == outcome(what, make_rows())


@pytest.mark.filterwarnings(NO_NAMES)
@pytest.mark.parametrize("what", CASES)
def test_files(what, tmp_path, monkeypatch):
    rows = make_rows(tmp_path)
    with monkeypatch.context() as small:
        small.setattr(_pandas, "_ARRAY_CAP", 100)
        found = outcome(what, rows)
    if found.startswith("refused") and "too many for an array" in found:
        found = outcome(what, rows).replace("works", "works up to 1 GiB")
    assert PAGE[what][1] == found


def outcome(what, rows):
    """Run a case; say what came of it."""
    try:
        return CASES[what](rows) or "works"
    except (TypeError, ValueError) as error:
        return f"refused: {error}".replace("\n", " ")
