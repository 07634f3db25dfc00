"""What links of accounts bring, and what wrong ones cost: ``python -m tests.benchmarks.people``.

Nobody in ``films`` is known to be on both platforms. So the benchmark makes two kinds of people:

* *People who go on*: half of those with at least ten events do the second half of them on the other platform, with
  another account. The link is told with the last event before.
* *Wrong links*: people of the one platform, each linked with somebody of the other, as by a shared device, with the
  first event of the younger account.

Each runs twice in the loop of ``afresh evaluate``: without the links, and with them. Hit rates are of the events behind
the link, on the last half of the events. ``±`` is two standard errors of the difference.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from afresh.deploy.datasets import sets
from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.embeddings import Texts
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import read_log
from afresh.deploy.evaluate.trials import trials_of
from afresh.models.arrays import Doubles
from afresh.models.metrics import evaluation
from afresh.state.errors import AfreshError
from afresh.streams.encoders import options_of
from afresh.streams.settings import Settings

K = 10
START = 0.5
REFRESH = 100
"""Events taken in together, as in ``tests.benchmarks.quality``."""

ENOUGH_EVENTS = 10
"""Events of those who get a second account, or a wrong link."""

FIRST = 5
"""Events that are the first ones on the second platform, or behind a wrong link."""

SEED = 1
PROCESSES = 2

Event = dict[str, Any]


@dataclass
class Course:
    """What one run plays.

    Attributes
    ----------
    events
        The events, oldest first.
    links
        The links, as producers send them.
    groups
        The group that an event is counted in, by its id.
    """

    events: list[Event]
    links: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)

    def link(self, one: str, other: str, event: Event) -> None:
        """Link two accounts from the time of an event on."""
        self.links.append({"accounts": sorted((one, other)), "time": event["time"]})

    def count(self, event: Event, platform: str, number: int) -> None:
        """Count an event, given the platform that the person came from, and how many came before it."""
        self.groups[event["id"]] = f"{platform}: {'first' if number < FIRST else 'later'}"


def account(event: Event) -> str:
    """Return the account of an event."""
    return f"{event['platform']}:{event['user']}"


def people_who_go_on(events: Sequence[Event]) -> Course:
    """Let half of those with enough events do the second half of them on the other platform."""
    count, draw = Counter(map(account, events)), random.Random(SEED)
    moving = {name for name in sorted(count) if count[name] >= ENOUGH_EVENTS and draw.random() < 0.5}
    platforms = sorted({event["platform"] for event in events})
    course, so_far = Course([]), Counter[str]()
    for event in events:
        name, came_from = account(event), event["platform"]
        number = so_far[name] - count[name] // 2
        so_far[name] += 1
        elsewhere = platforms[platforms.index(came_from) - 1]
        if name in moving and number >= 0:
            event = event | {"platform": elsewhere}
            course.count(event, came_from, number)
        elif name in moving and number == -1:
            course.link(name, account(event | {"platform": elsewhere}), event)
        course.events.append(event)
    return course


def wrong_links(events: Sequence[Event]) -> Course:
    """Link each of those with enough events on the one platform with somebody of the other."""
    count, draw = Counter(map(account, events)), random.Random(SEED)
    first = {account(event): place for place, event in reversed(list(enumerate(events)))}
    by_platform: dict[str, list[str]] = {event["platform"]: [] for event in events}
    for name in sorted(count):
        if count[name] >= ENOUGH_EVENTS:
            by_platform[events[first[name]]["platform"]].append(name)
    for names in by_platform.values():
        draw.shuffle(names)
    course, so_far = Course(list(events)), Counter[str]()
    linked_at: dict[str, int] = {}
    for one, other in zip(*by_platform.values(), strict=False):
        place = max(first[one], first[other])
        course.link(one, other, events[place])
        linked_at |= {one: place, other: place}
    for place, event in enumerate(events):
        name = account(event)
        if place >= linked_at.get(name, len(events)):
            course.count(event, event["platform"], so_far[name])
            so_far[name] += 1
    return course


COURSES = {"people who go on": people_who_go_on, "wrong links": wrong_links}


@dataclass(frozen=True)
class Run:
    """One run: a set, the first of its events, the kind of people, and whether they are linked."""

    set: str
    cut: int | None
    kind: str
    linked: bool


def hits(run: Run) -> tuple[Doubles, list[str]]:
    """Return for each evaluated trial whether the list had the item among its first ``K``, and its group."""
    settings = Settings()
    named = sets.load(run.set)
    course = COURSES[run.kind]([msgspec.json.decode(line) for line in named.events[: run.cut]])
    log = read_log(settings, _lines(course.events), named.items, _lines(course.links) if run.linked else ())
    # The trials are the same in both runs: those of accounts.
    trials = trials_of(replace(log, links=[]), START)
    texts = Texts(settings.encoder, options_of(settings))
    vectors = texts.vectors(log.texts(settings.text_template))
    engine = Engine(settings, 2 * K, (texts.name, texts.version))
    # A drift is of no concern here.
    logging.getLogger("afresh.state.judged.weighing").setLevel(logging.ERROR)
    with threadpool_limits(1):
        (ranking,) = prequential.run(engine, log, trials, vectors, REFRESH, lambda _: None)
    ids = [log.interactions[place].event for place in trials.places[trials.first :]]
    return evaluation.hit_rate(ranking.ranks, K).astype(np.float64), [
        course.groups.get(name, "others") for name in ids
    ]


def _lines(records: Iterable[dict[str, Any]]) -> list[bytes]:
    return [msgspec.json.encode(record) for record in records]


def compare(apart: Doubles, linked: Doubles, groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return the hit rates of each group, and of all first and all later events together.

    Parameters
    ----------
    apart, linked
        Hits without and with the links, shape (n,).
    groups
        Group of each event.
    """
    names, rows = np.array(groups), []
    masks = {name: names == name for name in sorted(set(groups) - {"others"})}
    masks |= {f"all: {end}": np.char.endswith(names, end) for end in ("first", "later")}
    for name, mask in (masks | {"others": names == "others"}).items():
        if not mask.any():
            continue
        before, after = apart[mask], linked[mask]
        rows.append(
            {
                "group": name,
                "events": int(mask.sum()),
                "apart": float(before.mean()),
                "linked": float(after.mean()),
                "ratio": float(after.mean() / max(before.mean(), 1e-9)),
                "noise": float(2 * (after - before).std() / np.sqrt(mask.sum())),
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(prog="people", description=__doc__)
    parser.add_argument("--set", choices=sets.SETS, default="films", help="events and items")
    parser.add_argument("--cut", type=int, metavar="N", help="only the first N events")
    parser.add_argument("--only", choices=COURSES, help="one kind of people")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the figures")
    chosen = parser.parse_args(arguments)
    kinds = [chosen.only] if chosen.only else list(COURSES)
    runs = [Run(chosen.set, chosen.cut, kind, linked) for kind in kinds for linked in (False, True)]
    figures: dict[str, Any] = {"set": chosen.set, "cut": chosen.cut}
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        found = list(pool.map(hits, runs))
    for kind, (apart, groups), (linked, _) in zip(kinds, found[::2], found[1::2], strict=True):
        figures[kind] = compare(apart, linked, groups)
        Console().print(_table(f"HR@{K}, {chosen.set}, {kind}", figures[kind]))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("from: events", "events", "apart", "linked", "ratio", "±", title=title)
    for row in rows:
        shown = (f"{row[name]:.4f}" for name in ("apart", "linked"))
        table.add_row(
            row["group"], f"{row['events']:,}", *shown, f"{row['ratio']:.2f}", f"{row['noise']:.4f}"
        )
    return table


if __name__ == "__main__":
    try:
        main()
    except AfreshError as error:
        sys.exit(str(error))
