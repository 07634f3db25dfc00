import json

from afresh.deploy.status.status import Judged, judged_by
from afresh.models import scorers
from afresh.state.judged.guard import Rollback
from tests.deploy.status.making import kept, status


def test_the_accuracy_of_the_lists_is_what_the_one_who_learns_has_counted() -> None:
    found = kept(1, 3)
    found.fusion.version = 4
    found.fusion = found.guard.roll_back(found.fusion, 7_000, "guard")
    found.verdicts.drifts[0] = 2
    found.source(1).refused = 5
    judged = judged_by(found)
    assert (judged.examples, judged.unjudged, judged.judged["all"]) == (7, 3, 4)
    assert judged.rates["all"]["served"].hit_rate == 0.25
    assert judged.drifts == {"all": 2}
    assert judged.refused == {1: 5}
    assert (judged.rollbacks, judged.last, judged.on_trial) == (1, Rollback(7_000, "guard", 0), True)
    assert judged.version == 5
    assert tuple(judged.weights) == scorers.NAMES


def test_the_json_holds_the_whole_status() -> None:
    found = json.loads(status(judged_by(kept(1, 1))).as_json())
    assert found["waiting"] == {"afresh.events": 1234}
    assert found["workers"] == [{"name": "afresh-1", "host": "10.0.0.7", "partitions": [0, 2]}]
    assert found["judged"]["rates"]["all"]["served"] == [0.5, 0.5]
    assert found["model"]["version"] == 1_700_000_000_000
    assert [each["name"] for each in found["model"]["workers"]] == ["maker", "other"]


def test_where_nothing_was_kept_nothing_is_judged() -> None:
    assert judged_by(None) == Judged()
