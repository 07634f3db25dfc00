from __future__ import annotations

import os
import signal

import pytest

from afresh.deploy.demo.stopping import SIGNALS, Stop


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_a_signal_raises_at_once(number: signal.Signals, error: type[BaseException]) -> None:
    with Stop(), pytest.raises(error):
        send(number)


def test_a_second_signal_does_not_disturb_the_cleanup() -> None:
    with Stop():
        with pytest.raises(SystemExit):
            send(signal.SIGTERM)
        for number in SIGNALS:
            send(number)


def test_within_later_a_signal_raises_in_check_and_only_once() -> None:
    with Stop() as stop, stop.later():
        send(signal.SIGTERM)
        with pytest.raises(SystemExit, match="143"):
            stop.check()
        stop.check()


def test_within_later_without_a_check_a_signal_raises_at_the_end_of_the_block() -> None:
    reached = []

    def work(stop: Stop) -> None:
        with stop.later():
            send(signal.SIGINT)
            reached.append(True)

    with Stop() as stop, pytest.raises(KeyboardInterrupt):
        work(stop)
    assert reached


def test_check_raises_again_an_exception_that_a_library_swallowed() -> None:
    with Stop() as stop:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_the_signal_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
