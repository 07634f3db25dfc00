import json

from afresh.deploy.status.status import Judged, judged_together
from afresh.models import scorers
from afresh.state.judged.guard import Rollback
from tests.deploy.status.making import kept, status


def test_the_states_of_the_judges_of_all_partitions_are_added_up() -> None:
    second = kept(0, 3)
    second.guard.roll_back(second.fusion, 7_000, "guard")
    second.verdicts.drifts[0] = 2
    judged = judged_together({0: kept(1, 0), 1: second})
    assert (judged.examples, judged.unjudged, judged.judged["all"]) == (10, 6, 4)
    assert judged.rates["all"]["served"].hit_rate == 0.25
    assert judged.drifts == {"all": 2}
    assert (judged.rollbacks, judged.last, judged.on_trial) == (1, Rollback(7_000, "guard", 0), [1])
    assert tuple(judged.weights) == scorers.NAMES


def test_the_json_holds_the_whole_status() -> None:
    found = json.loads(status(judged_together({0: kept(1, 1)})).as_json())
    assert found["waiting"] == {"afresh.events": 1234}
    assert found["workers"] == [{"name": "afresh-1", "host": "10.0.0.7", "partitions": [0, 2]}]
    assert found["judged"]["rates"]["all"]["served"] == [0.5, 0.5]


def test_where_nothing_was_kept_nothing_is_judged() -> None:
    assert judged_together({}) == Judged()
