import threading

import pytest

from sklearnish.data._errors import Failure


class Unpicklable(Exception):
    def __init__(self, lock):
        super().__init__("row 33 is bad")
        self.lock = lock


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError("a"), KeyError), (Unpicklable(threading.Lock()), RuntimeError)]
)
def test_what_can_be_sent_keeps_its_type_and_all_keep_their_words(error, kind):
    try:
        raise error
    except Exception as caught:
        again = Failure.of(caught).error("In a worker")
    assert type(again) is kind
    assert str(error) in str(again)
    assert "In a worker:\nTraceback" in again.__notes__[0]
