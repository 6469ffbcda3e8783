"""The fixture that records cells."""

import pytest

from tests.faults import _cells

_KEY = pytest.StashKey[list[_cells.Cell]]()


@pytest.fixture
def cell(request):
    """Begin a cell; its test writes what it found into the attribute ``found``."""
    made = request.node.stash.setdefault(_KEY, [])

    def begin(fault, where, expected):
        made.append(_cells.Cell(fault, where, expected, test=request.node.nodeid))
        return made[-1]

    return begin


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" or report.skipped or report.failed:
        cells = item.stash.get(_KEY, [])
        if not cells and not report.passed:  # it did not come that far
            name = item.originalname.removeprefix("test_").replace("_", " ")
            cells = [_cells.Cell(name, "", "", test=item.nodeid)]
        for cell in cells:
            _judge(cell, report)
        _cells.write(cells)
        item.stash[_KEY] = []
    return report


def _judge(cell, report):
    """Say whether the cell holds."""
    cell.outcome = {"passed": "holds", "failed": "fails", "skipped": "skipped"}[report.outcome]
    if report.failed:
        cell.found = getattr(report.longrepr, "reprcrash", None)
        cell.found = cell.found.message.splitlines()[0] if cell.found else str(report.longrepr)
    elif report.skipped:
        cell.found = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
