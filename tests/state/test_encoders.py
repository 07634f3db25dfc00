import pytest

from afresh.state.encoders import Named, Plan, announced, choose

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


def test_the_encoder_that_is_wanted_anew_is_the_newest_and_lists_change_over_to_it_by_themselves() -> None:
    plan = Plan([Named("b", "2"), Named("a", "1"), Named("old", "0")], use="1", threshold=0.5, setting="1")
    wanted = plan.wants(Named("c", "3"), 9)
    assert [each.version for each in wanted.wanted] == ["3", "2", "1"]
    assert (wanted.use, wanted.threshold, wanted.time, wanted.setting) == ("", 0.5, 9, "1")
    assert [each.version for each in plan.wants(Named("a", "1"), 9).wanted] == ["1", "2", "0"]


def test_an_embed_worker_that_starts_again_leaves_what_somebody_has_planned() -> None:
    plan = Plan([Named("b", "2")], setting="1")
    assert announced(plan, Named("a", "1"), 9) is None


def test_what_was_planned_before_any_embed_worker_ran_stays_the_newest() -> None:
    first = announced(Plan([Named("b", "2")]), Named("a", "1"), 9)
    assert first == Plan([Named("b", "2"), Named("a", "1")], setting="1")


def test_older_versions_are_kept_for_a_while_after_lists_have_changed_over() -> None:
    assert [PLAN.is_done(*each, 10) for each in (("2", 9), ("2", 10), ("1", 99))] == [False, True, False]
