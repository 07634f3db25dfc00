import pytest

from afresh.state.encoders import Named, Plan, choose

PLAN = Plan([Named("universal", "2"), Named("minilm", "1")], threshold=0.9)


@pytest.mark.parametrize(
    ("coverage", "now", "chosen"),
    [
        ({"1": 1.0}, "1", "1"),
        ({"1": 1.0, "2": 0.89}, "1", "1"),
        ({"1": 1.0, "2": 0.9}, "1", "2"),
        ({"1": 0.5, "2": 0.6}, "2", "2"),
        ({"1": 0.5, "2": 0.6}, "", "2"),
        ({"1": 0.5, "2": 0.5}, "gone", "1"),
        ({}, "1", "1"),
    ],
)
def test_the_newest_encoder_is_used_once_it_has_read_enough_and_then_stays(
    coverage: dict[str, float], now: str, chosen: str
) -> None:
    assert choose(PLAN, coverage, now) == chosen


def test_a_version_that_somebody_asked_for_is_used_while_any_item_has_a_vector_of_it() -> None:
    asked = Plan(PLAN.wanted, use="1")
    assert choose(asked, {"1": 0.1, "2": 1.0}, "2") == "1"
    assert choose(asked, {"2": 1.0}, "1") == "2"


def test_without_a_plan_nothing_changes() -> None:
    assert choose(None, {"1": 1.0}, "") == ""
