from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.deploy.datasets import sets
from afresh.deploy.datasets.sets import SetLines
from tests.benchmarks import people
from tests.benchmarks.people import (
    ENOUGH_EVENTS,
    FIRST,
    Event,
    account,
    compare,
    people_who_go_on,
    wrong_links,
)
from tests.deploy.evaluate.making import catalogue, event, lines, shop


def taken(users: str, count: int) -> list[Event]:
    """Each user takes one item after the other in turns; capitals are on TV."""
    turns = [each for _ in range(count) for each in users]
    return [
        event(n, each, f"i{n}", platform="tv" if each.isupper() else "web") for n, each in enumerate(turns)
    ]


def test_half_of_the_people_go_on_in_the_middle_of_their_events_and_are_linked_there() -> None:
    events = taken("abcdefghABCDEFGH", ENOUGH_EVENTS)
    course = people_who_go_on(events)
    moved = [now for was, now in zip(events, course.events, strict=True) if was != now]
    assert {each["id"] for each in moved} == set(course.groups)
    assert len(moved) == len(course.links) * ENOUGH_EVENTS // 2
    assert 4 <= len(course.links) <= 12
    for link in course.links:
        theirs = [each for each in course.events if account(each) in link["accounts"]]
        assert [account(each) for each in theirs[:: ENOUGH_EVENTS // 2]] == sorted(
            link["accounts"], key=lambda name: name.startswith("tv:") == theirs[0]["user"].islower()
        )
        assert link["time"] == theirs[ENOUGH_EVENTS // 2 - 1]["time"]


def test_nobody_with_few_events_goes_on() -> None:
    course = people_who_go_on(taken("abcdefghABCDEFGH", ENOUGH_EVENTS - 1))
    assert (course.links, course.groups) == ([], {})


def test_wrong_links_join_different_people_of_two_platforms_once() -> None:
    course = wrong_links(taken("abcABCD", ENOUGH_EVENTS))
    assert len(course.links) == 3
    joined = [name for link in course.links for name in link["accounts"]]
    assert len(set(joined)) == 6
    platforms = [[name.partition(":")[0] for name in each["accounts"]] for each in course.links]
    assert platforms == [["tv", "web"]] * 3


def test_the_first_events_are_those_right_behind_a_link() -> None:
    course = wrong_links(taken("aA", ENOUGH_EVENTS))
    groups = [course.groups.get(each["id"], "none") for each in course.events if account(each) == "web:a"]
    assert groups == ["none"] + ["web: first"] * FIRST + ["web: later"] * (ENOUGH_EVENTS - 1 - FIRST)


def test_groups_are_compared_one_by_one_and_together() -> None:
    groups = ["web: first"] * 2 + ["tv: first"] * 2 + ["others"]
    rows = compare(np.array([0.0, 1, 0, 0, 1]), np.array([1.0, 1, 1, 0, 1]), groups)
    assert {row["group"]: (row["events"], row["apart"], row["linked"]) for row in rows} == {
        "tv: first": (2, 0.0, 0.5),
        "web: first": (2, 0.5, 1.0),
        "all: first": (4, 0.25, 0.75),
        "others": (1, 1.0, 1.0),
    }


def test_a_whole_run_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = [each | {"user": f"u{each['user']}"} for each in shop(400)]
    monkeypatch.setitem(sets.SETS, "films", lambda: SetLines(lines(made), lines(catalogue())))
    monkeypatch.setattr(people, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    people.main(["--only", "people who go on", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    by_group = {row["group"]: row for row in figures["people who go on"]}
    assert by_group["all: first"]["events"] > 0
    # They take again what they took with the first account, and the list of a linked person leaves that out.
    assert by_group["all: first"]["linked"] < by_group["all: first"]["apart"]


class InThisProcess:
    """Runs what a pool would, here: a new process would not know the set that the test puts in place."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> type[InThisProcess]:
        return InThisProcess

    def __exit__(self, *_: object) -> None: ...

    map = map
