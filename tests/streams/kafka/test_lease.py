from types import SimpleNamespace

import pytest

from afresh.streams.kafka import lease as module
from afresh.streams.kafka.lease import Lease

EXPIRY = 600.0


class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1e9, 5.0

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    fake = SimpleNamespace(time=lambda: made.wall, monotonic=lambda: made.monotonic)
    monkeypatch.setattr(module, "time", fake)
    return made


def test_a_claim_is_renewed_by_a_third_and_written_with_until_half_of_the_expiry(clocks: Clocks) -> None:
    lease = Lease(EXPIRY)
    seen = []
    for _ in range(int(EXPIRY)):
        seen.append((lease.is_due(), lease.is_over()))
        clocks.wait(1.0)
    due, over = ([each[index] for each in seen].index(True) for index in (0, 1))
    assert EXPIRY / 6 <= due <= EXPIRY / 3
    assert over == EXPIRY / 2


def test_claims_made_together_are_not_renewed_together(clocks: Clocks) -> None:
    leases = [Lease(EXPIRY) for _ in range(200)]
    clocks.wait(EXPIRY / 4)
    assert 50 < sum(lease.is_due() for lease in leases) < 150


def test_a_suspended_machine_notices_that_its_lease_is_over(clocks: Clocks) -> None:
    lease = Lease(EXPIRY)
    clocks.wall += EXPIRY
    assert lease.is_over()


def test_a_wall_clock_that_was_set_back_does_not_prolong_a_lease(clocks: Clocks) -> None:
    lease = Lease(EXPIRY)
    clocks.wait(EXPIRY)
    clocks.wall -= 2 * EXPIRY
    assert lease.is_over()
