import pytest
from pydantic import ValidationError

from afresh.streams.serving.policy import Policy
from afresh.streams.settings import Settings


def test_items_taken_are_left_out_unless_a_rule_allows_them() -> None:
    assert Policy().rule("films") == "taken"
    policy = Policy(leave_out={"groceries": "nothing", "*": "bought"})
    assert (policy.rule("groceries"), policy.rule("films")) == ("nothing", "bought")
    assert (Policy().rules, policy.rules) == ({"taken"}, {"nothing", "bought"})


def test_the_policy_of_a_deployment_follows_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_LEAVE_OUT", '{"groceries": "bought"}')
    monkeypatch.setenv("AFRESH_DIVERSITY", "0.3")
    policy = Policy.of(Settings(_env_file=None))
    assert policy == Policy({"groceries": "bought"}, 0.3, 0.0)
    assert not policy.by_score
    assert Policy.of(Settings(_env_file=None, diversity=0.0)).by_score


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValidationError, match="leave_out"):
        Settings(_env_file=None, leave_out={"films": "sold"})
