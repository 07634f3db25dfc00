from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import Log, read_log
from afresh.deploy.evaluate.people import LinkedUsers
from afresh.deploy.evaluate.trials import trials_of
from afresh.state.rows import users
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import START_MS, catalogue, event, lines

SETTINGS = Settings(_env_file=None, partitions=1)


def link(one: str, other: str, minute: float, **fields: Any) -> dict[str, Any]:
    return {"accounts": [one, other], "time": int(START_MS + 60_000 * minute)} | fields


def moving(minute: float | None = 2.5, **fields: Any) -> Log:
    """Ann takes three items on the web, and two more in the app, where she is u7."""
    sent = [event(n, "ann", f"i{n}") for n in range(3)]
    sent += [event(n, "u7", f"i{n}", platform="app") for n in range(3, 5)]
    told = [] if minute is None else [link("web:ann", "app:u7", minute, **fields)]
    return read_log(SETTINGS, lines(sent), lines(catalogue()), lines(told))


def lists_of(log: Log, refresh: int = 1) -> list[set[str]]:
    engine = Engine(SETTINGS, 40)
    (ranking,) = prequential.run(engine, log, trials_of(log, 0), {}, refresh, lambda _: None)
    return [set(each) for each in ranking.lists]


def test_a_person_gets_no_item_again_that_was_taken_by_another_account() -> None:
    assert {"i0", "i1", "i2"} <= lists_of(moving(None))[3]
    assert not {"i0", "i1", "i2"} & lists_of(moving())[3]


def test_a_link_counts_from_its_time_on() -> None:
    late = lists_of(moving(3.5))
    assert {"i0", "i1", "i2"} <= late[3]
    assert not {"i0", "i1", "i2", "i3"} & late[4]


def test_a_household_is_not_one_person() -> None:
    assert lists_of(moving(kind="household")) == lists_of(moving(None))


def test_trials_are_those_of_the_person() -> None:
    trials = trials_of(moving(), 0)
    assert trials.user_names == ["app:u7"]
    assert trials.user_events.tolist() == [0, 1, 2, 3, 4]
    assert trials.second_platform.tolist() == [False] * 3 + [True] * 2


def test_rows_are_those_of_a_deployment() -> None:
    log, linked = moving(), LinkedUsers()
    for number, each in enumerate(log.interactions):
        if number == 3:
            linked.link(log.links)
        given = linked.given(each)
        users.fold(linked.rows[given.user], given, 0, number)
    row = linked.rows["app:u7"]
    assert [users.packed_key(f"i{n}") for n in (4, 3, 2, 1, 0)] == users.pieces(row.items, users.KEY_BYTES)
    assert (row.accounts, row.taken) == (("web:ann",), 5)
    assert linked.rows["web:ann"].to == "app:u7"


def test_links_that_cannot_be_used_are_counted() -> None:
    told = [
        b"{",
        json.dumps(link("web:ann", "web:ann", 0)).encode(),
        *lines([link("a:b", "c:d", 0, kind="x")]),
    ]
    log = read_log(SETTINGS, lines([event(0, "u", "i")]), links=told)
    assert log.links == []
    assert log.refused == {"malformed": 1, "key": 1, "invalid": 1}


def test_the_command_reads_links_from_a_file(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from afresh.deploy.cli import app

    for name, records in {
        "events": [event(0, "ann", "i0"), event(1, "u7", "i1", platform="app")],
        "links": [link("web:ann", "app:u7", 0.5)],
    }.items():
        (tmp_path / name).write_bytes(b"\n".join(lines(records)))
    figures = tmp_path / "figures.json"
    arguments = [
        "--events",
        tmp_path / "events",
        "--links",
        tmp_path / "links",
        "--json",
        figures,
        "--from",
        0,
    ]
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert json.loads(figures.read_text())["input"]["users"] == 1
