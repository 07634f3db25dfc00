from __future__ import annotations

from collections.abc import Hashable, Iterator

from afresh.deploy.ledger.settling import POLL_SECONDS, settle


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def settled(
    *looks: tuple[int, Hashable], quiet: float = 2.0, seconds: float = 60.0
) -> tuple[float | None, int]:
    """Settle, where each look returns the next of some values, and the last value from then on."""
    clock = Clock()

    def shown() -> Iterator[tuple[int, Hashable]]:
        yield from looks
        while True:
            yield looks[-1]

    seen = shown()
    return settle(lambda: next(seen), quiet, seconds, clock, clock.sleep)


def test_a_deployment_at_rest_has_settled_at_once() -> None:
    assert settled((0, "same")) == (0.0, 0)


def test_settling_ends_with_the_last_change() -> None:
    assert settled((5, "a"), (3, "b"), (0, "c"), (0, "d"), (0, "d")) == (3 * POLL_SECONDS, 0)


def test_a_deployment_where_records_wait_has_not_settled() -> None:
    assert settled((7, "same"), seconds=10.0) == (None, 7)


def test_a_deployment_that_never_stops_changing_has_not_settled() -> None:
    assert settled(*((0, number) for number in range(1000)), seconds=10.0) == (None, 0)


def test_a_change_within_the_quiet_time_restarts_it() -> None:
    looks = [(0, "a"), (0, "a"), (0, "a"), (0, "b")]
    assert settled(*looks) == (3 * POLL_SECONDS, 0)
