from __future__ import annotations

from typing import Any

import pytest

from afresh.deploy.evaluate.log import read_log
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import START_MS, event, lines


def test_items_become_known_by_time_and_items_without_a_time_come_first() -> None:
    items: list[dict[str, Any]] = [
        {"id": "late", "domain": "d", "time": "2030-01-01T00:00:00Z"},
        {"id": "early", "domain": "d", "time": START_MS},
        {"id": "always", "domain": "d"},
    ]
    log = read_log(Settings(), lines([event(1, "u", "i")]), lines(items))
    assert [each.item.id for each in log.announcements] == ["always", "early", "late"]
    assert [each.time for each in log.announcements] == [None, START_MS, 1_893_456_000_000]


def test_the_time_of_an_item_is_read_as_that_of_an_event_and_never_dropped() -> None:
    items: list[dict[str, Any]] = [
        {"id": "leap", "domain": "d", "time": "2016-12-31T23:59:60Z"},
        {"id": "fraction", "domain": "d", "time": 1.7e12},
        {"id": "null", "domain": "d", "time": None},
        {"id": "text", "domain": "d", "time": "1700000000000"},
        {"id": "list", "domain": "d", "time": []},
    ]
    log = read_log(Settings(), lines([event(1, "u", "i")]), lines(items))
    assert {each.item.id: each.time for each in log.announcements} == {
        "leap": 1_483_228_800_000,
        "fraction": 1_700_000_000_000,
        "null": None,
    }
    assert log.refused == {"invalid": 2}


def test_an_event_sent_twice_counts_once() -> None:
    log = read_log(Settings(), lines([event(1, "ann", "i"), event(1, "ann", "i")]))
    assert (len(log.interactions), log.duplicates) == (1, 1)


def test_a_cut_counts_events_taken_in_and_not_lines() -> None:
    sent = [b"nonsense", *lines(event(number, "u", "i") for number in range(5))]
    log = read_log(Settings(), sent, cut=3)
    assert len(log.interactions) == 3
    assert log.refused == {"malformed": 1}


def test_refused_items_are_counted() -> None:
    items = [
        b"{}",
        *lines([{"id": "i", "domain": "d", "version": 9}, {"id": "j", "domain": "d", "text": "x" * 99}]),
    ]
    log = read_log(Settings(text_limit_bytes=120), lines([event(1, "u", "i")]), items)
    assert log.refused == {"invalid": 1, "version": 1, "too_large": 1}
    assert log.announcements == []


def test_a_log_without_positive_events_is_refused() -> None:
    with pytest.raises(AfreshError, match="none is positive"):
        read_log(Settings(), lines([event(1, "u", "i", type="dislike")]))
