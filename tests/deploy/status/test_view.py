from io import StringIO

import pytest
from rich.console import Console

from afresh.deploy.status.status import ModelStatus, Status, judged_by
from afresh.deploy.status.view import tables
from tests.deploy.status.making import kept, status


def words(status: Status) -> str:
    console = Console(width=150, record=True, file=StringIO())
    for each in tables(status):
        console.print(each)
    return console.export_text()


def test_the_tables_show_the_backlog_the_workers_and_the_accuracy_of_the_lists() -> None:
    found = kept(1, 3)
    found.source(3).refused = 1200
    found.fusion = found.guard.roll_back(found.fusion, 7_000, "command")
    shown = words(status(judged_by(found)))
    for expected in (
        "records waiting in afresh.events", "1,234", "worker afresh-1 at 10.0.0.7", "partitions 0, 2", "0.250",
        "domain:films", "neighbours", "1970-01-01T00:00:07", "by the command, to popularity",
        "have not proved good yet", "Scorers, weights 1", "by partition: 3 (1,200)",
    ):  # fmt: skip
        assert expected in shown


def test_the_tables_show_the_model_that_stands_and_who_makes_it() -> None:
    shown = words(status(judged_by(kept(1, 1))))
    lines = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in shown.splitlines() if "│" in line
    }
    assert lines["model"] == "3 min old, of 12,345 items: version 1700000000000"
    assert lines["model worker maker at 10.0.0.8"] == "makes the model"
    assert lines["model worker other at 10.0.0.9"] == "stands by"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ModelStatus(), "none yet"),
        (ModelStatus(version=None), "the next version is being told"),
        (ModelStatus(made_by="worker", workers=[]), "start one with afresh model-worker"),
    ],
)
def test_where_there_is_no_model_to_show_the_tables_say_why(model: ModelStatus, said: str) -> None:
    assert said in words(Status({}, [], 0, 3, "ready", model=model))


@pytest.mark.parametrize("model", [ModelStatus(workers=[]), ModelStatus(made_by="worker", workers=None)])
def test_a_model_worker_is_not_asked_for_where_none_is_needed_or_the_broker_does_not_tell(
    model: ModelStatus,
) -> None:
    assert "model-worker" not in words(Status({}, [], 0, 3, "ready", model=model))


def test_a_broker_that_does_not_tell_of_workers_is_not_taken_for_none_at_work() -> None:
    shown = words(Status({"afresh.events": 0}, None, 0, 3, "ready"))
    assert "this broker does not tell which workers run" in shown
    assert "start one with afresh worker" not in shown


def test_without_workers_and_redis_the_remarks_say_what_to_do() -> None:
    shown = words(Status({"afresh.events": 0}, [], 0, None, None))
    assert "start one with afresh worker" in shown
    assert "check AFRESH_REDIS" in shown
