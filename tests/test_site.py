"""The site as a browser shows it, after ``make docs``: at desktop and phone width."""

import asyncio

import pytest

from tests import browser
from tests.test_architecture import ROOT

SITE = ROOT / "docs" / "_build" / "html"

# What reaches beyond the window, unless it lies in something that can be scrolled, or is hidden.
BEYOND = """
(() => {
  const scrolls = (e) => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
    || scrolls(e.parentElement));
  const wide = [...document.querySelectorAll("main *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !scrolls(e.parentElement);
  });
  return wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 120));
})()
"""
# Code that must be scrolled to be read, and names whose end is cut off.
CLIPPED = """
[...document.querySelectorAll("main pre, main td:first-child, main dt")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).slice(0, 3)
  .map((e) => `${e.scrollWidth} > ${e.clientWidth} px: ` + e.innerText.slice(0, 120))
"""
# Pictures that were not loaded.
BROKEN = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.src)"


async def faults(pages, width):
    """Say what is wrong with which page."""
    found = []
    async with browser.browser() as page:
        for path in pages:
            await page.open(path.as_uri(), width)
            wrong = await page.evaluate(BEYOND)
            wrong += await page.evaluate(BROKEN)
            if width == browser.WIDTHS["desktop"]:
                wrong += await page.evaluate(CLIPPED)
            found += [f"{path.relative_to(SITE)}: {what}" for what in [*wrong, *page.problems]]
    return found


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
@pytest.mark.skipif(not (SITE / "index.html").exists(), reason="needs the pages of `make docs`")
@pytest.mark.parametrize("kind", browser.WIDTHS)
def test_nothing_is_cut_off_missing_or_raised(kind):
    pages = [p for p in sorted(SITE.rglob("*.html")) if "_static" not in p.parts]
    assert len(pages) > 20
    wrong = asyncio.run(faults(pages, browser.WIDTHS[kind]))
    assert not wrong, "\n".join(wrong)
