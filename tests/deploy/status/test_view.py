import json
from io import StringIO

import numpy as np
from rich.console import Console

from afresh.deploy.status.status import Judged, Member, Status, judged_together
from afresh.deploy.status.view import tables
from afresh.models import scorers
from afresh.state.judged.guard import Guard, Rollback
from afresh.state.judged.verdicts import LIST_LENGTH, RANKINGS, Verdicts
from afresh.streams.serving.judge import Kept


def kept(hits: int, misses: int) -> Kept:
    judged = Verdicts()
    for number in range(hits + misses):
        ranks = np.full(len(RANKINGS), LIST_LENGTH)
        ranks[0] = 0 if number < hits else LIST_LENGTH
        judged.add(ranks, judged.slices_of(0, 0, "films", "web"))
    judged.unjudged = 3
    fusion = scorers.new_fusion()
    fusion.examples = hits + misses + 3
    return Kept(fusion, judged, Guard())


def words(status: Status) -> str:
    console = Console(width=150, record=True, file=StringIO())
    for each in tables(status):
        console.print(each)
    return console.export_text()


def status(judged: Judged) -> Status:
    workers = [Member("afresh-1", "10.0.0.7", [0, 2])]
    return Status({"afresh.events": 1234}, workers, 5, 17, "ready", judged)


def test_what_the_judges_of_partitions_keep_is_added_up() -> None:
    second = kept(0, 3)
    second.guard.roll_back(second.fusion, 7_000, "guard")
    second.verdicts.drifts[0] = 2
    judged = judged_together({0: kept(1, 0), 1: second})
    assert (judged.examples, judged.unjudged, judged.judged["all"]) == (10, 6, 4)
    assert judged.rates["all"]["served"].hit_rate == 0.25
    assert judged.drifts == {"all": 2}
    assert (judged.rollbacks, judged.last, judged.on_trial) == (1, Rollback(7_000, "guard", 0), [1])
    assert tuple(judged.weights) == scorers.NAMES


def test_a_look_shows_what_waits_who_works_and_how_lists_are_received() -> None:
    second = kept(0, 3)
    second.guard.roll_back(second.fusion, 7_000, "command")
    shown = words(status(judged_together({0: kept(1, 0), 1: second})))
    for expected in (
        "records waiting in afresh.events", "1,234", "worker afresh-1 at 10.0.0.7", "partitions 0, 2", "0.250",
        "domain:films", "neighbours", "1970-01-01T00:00:07", "by the command, to popularity",
        "prove good: partitions 1",
    ):  # fmt: skip
        assert expected in shown


def test_a_deployment_where_nothing_is_there_says_what_to_do() -> None:
    shown = words(Status({"afresh.events": 0}, [], 0, None, None))
    assert "start one with afresh worker" in shown
    assert "look at AFRESH_REDIS" in shown


def test_json_holds_all_of_it() -> None:
    found = json.loads(status(judged_together({0: kept(1, 1)})).as_json())
    assert found["waiting"] == {"afresh.events": 1234}
    assert found["workers"] == [{"name": "afresh-1", "host": "10.0.0.7", "partitions": [0, 2]}]
    assert found["judged"]["rates"]["all"]["served"] == [0.5, 0.5]
