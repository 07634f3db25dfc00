from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from afresh.deploy.ledger.events import PAGE, Received, name_of, usable
from afresh.state.keys import key_of
from afresh.state.records import Interaction
from afresh.state.rows.clocks import SAMPLES, Clocks
from afresh.state.rows.received import ReceivedWindow
from afresh.state.store.changes import Change
from afresh.state.store.marks import PartitionRow
from afresh.streams.settings import Settings
from tests.deploy.ledger.making import judged, lists_of, settings_of
from tests.replay import memory
from tests.replay.memory import CLOCK, Pipeline
from tests.streams.making import event_json

NOW = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

IDS = st.lists(st.integers(0, 3 * PAGE), max_size=60)


def window_of(ids: list[str], size: int, cuts: set[int]) -> tuple[list[bool], dict[bytes, bytes]]:
    """Feed ids to the agent's window in runs; return its answers, and the rows that it leaves."""
    rows: dict[bytes, bytes] = {}
    taken = []
    window = ReceivedWindow(rows, size)
    before = 0
    for place, event in enumerate(ids):
        if place in cuts:
            before = _write(window, rows, before)
        taken.append(window.remember(key_of(event)))
    _write(window, rows, before)
    return taken, rows


def _write(window: ReceivedWindow, rows: dict[bytes, bytes], since: int) -> int:
    change: Any = SimpleNamespace(put_row=rows.__setitem__)
    written: Change = change
    window.write(written, since)
    return window.remembered


@given(
    st.lists(IDS, min_size=1, max_size=40),
    st.integers(0, 4 * PAGE),
    st.sets(st.integers(0, 1000), max_size=20),
)
def test_the_ledger_takes_in_the_same_ids_as_the_agents_window(
    parts: list[list[int]], size: int, cuts: set[int]
) -> None:
    # Blocks of new ids lie between the drawn ones, so that pages fill up and old pages fall out.
    ids = [
        name
        for number, part in enumerate(parts)
        for name in [*(f"old-{each}" for each in part), *(f"new-{number}-{n}" for n in range(40))]
    ]
    received = Received(size)
    taken, rows = window_of(ids, size, cuts)
    assert [received.take(each) for each in ids] == taken
    assert received.rows() == rows


def test_an_id_is_taken_in_again_after_its_page_has_fallen_out() -> None:
    received = Received(PAGE)
    assert received.take("first")
    assert not received.take("first")
    assert all(received.take(f"e{number}") for number in range(PAGE - 1))
    assert not received.take("first")
    assert received.take("one more")
    assert received.take("first")


def record(value: bytes | None, timestamp: int = NOW) -> Any:
    return SimpleNamespace(value=value, timestamp=timestamp, key=b"", offset=0, headers=())


def test_an_event_is_too_early_by_the_time_at_which_kafka_stored_it() -> None:
    settings = Settings(_env_file=None, clock_ahead_hours=24)
    value = event_json(time=NOW + DAY_MS)
    assert usable(record(value), Clocks(), settings) is not None
    assert usable(record(value, NOW - 1), Clocks(), settings) is None


def test_a_record_that_is_no_event_is_not_usable() -> None:
    settings = Settings(_env_file=None)
    for value in (None, b"", b"{", b"\xff", b"{}", event_json(version=2), event_json(id="x" * 513)):
        assert usable(record(value), Clocks(), settings) is None
    assert usable(record(event_json()), Clocks(), Settings(_env_file=None, text_limit_bytes=10)) is None


def test_a_line_and_its_record_have_one_name_with_a_byte_order_mark_and_without() -> None:
    for value in (event_json(id="e7"), event_json(id=7), b"{"):
        assert name_of(b"\xef\xbb\xbf" + value) == name_of(value)
    assert name_of(event_json(id=7)) == "7"


def test_an_event_without_an_id_is_named_by_a_hash_of_its_bytes() -> None:
    assert name_of(event_json(id="e7")) == "e7"
    assert name_of(b"{") == name_of(b"{") != name_of(b"{ ")


def run_with_wrong_clock(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, minutes: range) -> None:
    """Put an event of a platform that is eight hours ahead in each minute."""
    for minute in minutes:
        monkeypatch.setattr(memory, "CLOCK", CLOCK + 60 * minute)
        pipeline.event(id=f"e{minute}", platform="tv", time=NOW + 8 * HOUR_MS + 60_000 * minute)


def change_newest(pipeline: Pipeline, topic: str, change: Callable[[Any], Any], kind: type) -> None:
    """Change the last record of a topic in the partition that has any."""
    (records,) = [each for (name, _), each in pipeline.log.partitions.items() if name == topic and each]
    changed = change(msgspec.msgpack.decode(records[-1].value or b"", type=kind))
    records[-1] = replace(records[-1], value=msgspec.msgpack.encode(changed))


async def test_the_audit_learns_clocks_again_and_finds_a_time_that_none_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(settings_of(tmp_path))
    run_with_wrong_clock(pipeline, monkeypatch, range(SAMPLES + 5))
    await pipeline.drain(lambda: 4)
    assert judged(pipeline, lists_of(pipeline)).differences == []

    def back(interaction: Interaction) -> Interaction:
        return structs.replace(interaction, time=interaction.time + 8 * HOUR_MS)

    change_newest(pipeline, pipeline.topics.interactions.name, back, Interaction)
    assert any("differs from its event in time" in each for each in judged(pipeline).differences)


async def test_events_that_were_taken_in_before_clocks_were_learned_are_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_clocks(row: PartitionRow) -> PartitionRow:
        return structs.replace(row, agent_state=b"")

    pipeline = Pipeline(settings_of(tmp_path))
    run_with_wrong_clock(pipeline, monkeypatch, range(SAMPLES + 5))
    await pipeline.drain(lambda: 4)
    change_newest(pipeline, pipeline.topics.received.name, without_clocks, PartitionRow)
    pipeline = Pipeline(pipeline.settings, log=pipeline.log, committed=pipeline.committed)
    run_with_wrong_clock(pipeline, monkeypatch, range(100, 105 + SAMPLES))
    await pipeline.drain(lambda: 4)
    assert judged(pipeline, lists_of(pipeline)).differences == []
