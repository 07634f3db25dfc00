import logging
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def late() -> Iterator[threading.Event]:
    """Leave a thread that says something once the event is set."""
    go = threading.Event()

    def complain() -> None:
        go.wait(10)
        logging.getLogger("elsewhere").error("the test before me went wrong")

    thread = threading.Thread(target=complain)
    thread.start()
    yield go
    go.set()
    thread.join()


def test_what_threads_of_earlier_tests_say_is_not_captured(
    late: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    (thread,) = [each for each in threading.enumerate() if each.name.endswith("(complain)")]
    late.set()
    thread.join(10)
    # One of them is likely to get the number of the thread that has ended.
    for _ in range(8):
        ours = threading.Thread(target=logging.getLogger("here").error, args=["this one did"])
        ours.start()
        ours.join(10)
    assert caplog.messages == ["this one did"] * 8
