from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.rows import clocks
from afresh.state.rows.clocks import PLATFORMS_LIMIT, SAMPLES, Clocks, gone_on
from afresh.state.versions import RowVersionError

NOW_MS = 1_700_000_000_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def watched(errors: list[int], known: Clocks | None = None, start: int = 0) -> Clocks:
    """Note one event of a television in each minute: its own time, less Kafka's, in ms."""
    known = known or Clocks()
    for minute, error in enumerate(errors, start):
        received = NOW_MS + minute * MINUTE_MS
        known.corrected("tv", minute, received + error, received)
    return known


def offset_ms(known: Clocks, platform: str = "tv") -> int:
    """Return what is added to the time of an event."""
    received = NOW_MS + 10**6 * MINUTE_MS
    return clocks.unpack(clocks.pack(known)).corrected(platform, 0, received, received) - received


def delays(count: int = SAMPLES + 1, most_ms: int = 20_000) -> list[int]:
    random = Random(1)
    return [random.randrange(most_ms) for _ in range(count)]


@given(st.integers(-14 * 60, 14 * 60).filter(lambda minutes: abs(minutes) > 2))
def test_a_clock_that_is_steadily_wrong_is_put_right_to_the_minute(minutes: int) -> None:
    known = watched([minutes * MINUTE_MS - delay for delay in delays()])
    assert offset_ms(known) == -minutes * MINUTE_MS


def test_no_time_is_changed_before_half_an_hour_is_known() -> None:
    assert offset_ms(watched([HOUR_MS] * (SAMPLES - 1))) == 0
    assert offset_ms(watched([HOUR_MS] * (SAMPLES + 1))) == -HOUR_MS


def test_a_delay_of_seconds_is_no_clock() -> None:
    assert offset_ms(watched([-delay for delay in delays(most_ms=60_000)])) == 0


def test_events_that_wait_on_a_phone_for_long_are_no_clock() -> None:
    assert offset_ms(watched([-delay for delay in delays(200, most_ms=2 * HOUR_MS)])) == 0


def test_an_hour_of_events_sent_at_once_each_hour_is_no_clock() -> None:
    known, random = Clocks(), Random(2)
    for hour in range(4 * SAMPLES):
        received = NOW_MS + hour * HOUR_MS
        for minute in range(60):
            known.corrected("tv", random.getrandbits(64), received - (60 - minute) * MINUTE_MS, received)
    assert offset_ms(known) == 0


def test_a_queue_that_catches_up_is_no_clock() -> None:
    behind = [-10 * HOUR_MS + minute * 3 * MINUTE_MS for minute in range(190)]
    known = Clocks()
    for start, error in enumerate(behind):
        watched([error], known, start)
        assert offset_ms(known) == 0


def test_single_devices_with_a_wrong_clock_move_nobody() -> None:
    errors = [3 * HOUR_MS if number % 5 == 0 else -delay for number, delay in enumerate(delays(10 * SAMPLES))]
    assert offset_ms(watched(errors)) == 0


@pytest.mark.parametrize("hours", [-15, 15, -24 * 365 * 26])
def test_a_backfill_is_left_alone_and_teaches_nothing(hours: int) -> None:
    known = watched([hours * HOUR_MS] * (2 * SAMPLES))
    assert known.platforms == {}
    known = watched([8 * HOUR_MS] * (SAMPLES + 1))
    time = NOW_MS + hours * HOUR_MS
    assert known.corrected("tv", 0, time, NOW_MS) == time


def test_a_clock_that_is_put_right_is_believed_once_it_is_steady() -> None:
    known = watched([8 * HOUR_MS] * (SAMPLES + 1))
    watched([0] * (SAMPLES // 2), known, start=100)
    assert offset_ms(known) == -8 * HOUR_MS
    watched([0] * (SAMPLES // 2), known, start=200)
    assert offset_ms(known) == 0


def test_a_clock_that_drifts_by_less_than_a_minute_changes_nothing() -> None:
    known = watched([8 * HOUR_MS] * (SAMPLES + 1))
    for start, error in enumerate([50_000, -50_000] * 50):
        watched([8 * HOUR_MS + error // 2], known, start=100 + start)
        assert offset_ms(known) == -8 * HOUR_MS


def test_platforms_have_their_own_clocks_and_only_the_first_ones_are_known() -> None:
    known = watched([8 * HOUR_MS] * (SAMPLES + 1))
    assert offset_ms(known, "web") == 0
    for number in range(2 * PLATFORMS_LIMIT):
        known.corrected(f"p{number}", 0, NOW_MS, NOW_MS)
    assert len(known.platforms) == PLATFORMS_LIMIT
    assert len(clocks.pack(known)) < 2048


def test_the_bytes_of_64_clocks_stay_few() -> None:
    known = Clocks()
    for number in range(PLATFORMS_LIMIT):
        for minute in range(SAMPLES + 1):
            received = NOW_MS + minute * MINUTE_MS
            known.corrected(f"{number:0128}", 2**64 - 1, received - 14 * HOUR_MS, received)
    assert len(clocks.pack(known)) < 25_000


events = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.integers(-60, 60), st.integers(0, 90)), min_size=1, max_size=150
)


@given(events, st.sets(st.integers(0, 150)))
def test_it_does_not_matter_where_the_clocks_are_packed(
    drawn: list[tuple[int, int, int]], packed_after: set[int]
) -> None:
    whole, cut, received = Clocks(), Clocks(), NOW_MS
    for number, (key, minutes, seconds) in enumerate(drawn):
        received += 1000 * seconds
        time = received + minutes * MINUTE_MS
        assert whole.corrected("tv", key, time, received) == cut.corrected("tv", key, time, received)
        if number in packed_after:
            cut = clocks.unpack(clocks.pack(cut))
    assert cut == whole


def test_clocks_go_on_where_they_ended_and_begin_anew_where_they_lack_events() -> None:
    known = Clocks(incarnation=7, since=-1, last=41)
    packed = clocks.pack(known)
    assert gone_on(packed, 7, last=41, first=42) == known
    assert gone_on(packed, 7, last=50, first=51) == Clocks(incarnation=7, since=50)
    assert gone_on(packed, 8, last=-1, first=0) == Clocks(incarnation=8, since=-1)
    assert gone_on(b"", 7, last=41, first=30) == Clocks(incarnation=7, since=41)
    assert gone_on(b"", 7, last=-1, first=30) == Clocks(incarnation=7, since=29)


def test_clocks_of_a_newer_version_are_refused_by_name() -> None:
    with pytest.raises(RowVersionError, match="partition's clocks has version 2; this program knows 1"):
        clocks.unpack(clocks.pack(Clocks(version=2)))
