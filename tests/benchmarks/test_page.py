import pytest

from tests.benchmarks.__main__ import NAMES, PAGE
from tests.benchmarks._harness import Ratio
from tests.benchmarks._page import Bar, replace_section


def test_a_section_is_replaced_and_the_rest_is_kept():
    page = "a\n<!-- one -->\nold\n<!-- end of one -->\nb\n<!-- two -->\n<!-- end of two -->\n"
    once = replace_section(page, "one", "new")
    assert once == page.replace("\nold\n", "\n\nnew\n\n")
    assert replace_section(once, "one", "new") == once


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_a_place_for_every_benchmark(name):
    assert "\n\nfound\n\n" in replace_section(PAGE.read_text(), name, "found")


def test_a_page_without_the_markers_is_refused():
    with pytest.raises(ValueError, match="no place for one"):
        replace_section("<!-- one -->", "one", "new")


def test_a_bar_says_plainly_when_it_is_missed():
    assert str(Bar("time", 1.2, "1.20", at_most=1.1)).startswith("- **Missed**: time <= 1.1")
    assert str(Bar("speed", 1.2, "1.20", at_least=1.1)).startswith("- Met: speed >= 1.1")


def test_a_ratio_is_the_median_of_the_pairs():
    assert str(Ratio.of([1, 2, 9], [2, 2, 3])) == "1.00 (0.50 to 3.00)"
