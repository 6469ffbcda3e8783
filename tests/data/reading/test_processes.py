import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from sklearnish.data._functions.functions import RowFunction
from sklearnish.data._reading.processes import (
    check_picklable,
    main_can_be_imported,
    pickles_as_it_is,
)


@pytest.mark.parametrize(
    ("guard", "can"), [("if __name__ == '__main__':\n    ", True), ("", False)]
)
def test_a_script_without_a_guard_would_run_again(tmp_path, guard, can):
    script = tmp_path / "script.py"
    script.write_text(
        "from sklearnish.data._reading.processes import main_can_be_imported\n"
        f"{guard}print(main_can_be_imported())"
    )
    assert subprocess.check_output([sys.executable, script], text=True).strip() == str(can)


def test_what_is_typed_in_is_not_loaded_again():
    code = "from sklearnish.data._reading import processes as p; print(p.main_can_be_imported())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "True"
    assert main_can_be_imported()  # pytest's own main has a guard


class WithAFile:
    def __init__(self, path):
        self.file = open(path)  # noqa: PTH123, SIM115 - it is to stay open


class WithoutIt(WithAFile):
    """Leaves the file out of its pickle; a forked worker would share it all the same."""

    def __getstate__(self):
        return {}


@pytest.mark.parametrize("kind", [WithAFile, WithoutIt])
def test_an_open_file_is_an_obstacle(kind):
    thing = kind(__file__)
    assert not pickles_as_it_is(thing)
    assert not pickles_as_it_is([{"a": thing}])
    thing.file.close()


def test_a_lock_is_an_obstacle():
    assert not pickles_as_it_is(threading.Lock())
    assert not pickles_as_it_is(lambda x: x)


def test_numbers_are_left_out():
    """So that looking takes no time: a tensor without storage could not be pickled."""
    assert pickles_as_it_is(torch.empty(3, device="meta"))
    assert pickles_as_it_is({"X": np.zeros((3, 2)), "y": torch.zeros(3)})
    assert not pickles_as_it_is(np.array([threading.Lock()]))


def test_what_cannot_be_sent_is_named_with_the_way_out():
    check_picklable([RowFunction(test_numbers_are_left_out), RowFunction(torch.nn.Dropout())])
    with pytest.raises(TypeError, match=r"<lambda> cannot.*top level.*num_workers=0"):
        check_picklable([RowFunction(lambda x: x)])
