from __future__ import annotations

import pytest

from afresh.models.identity.suggesting import LIKELY, Suggestion, suggest
from tests.models.identity.crowds import people


def is_right(suggestion: Suggestion) -> bool:
    return suggestion.first.partition(":")[2] == suggestion.second.partition(":")[2]


@pytest.fixture(scope="module")
def suggested() -> list[Suggestion]:
    return suggest(people(300, 150, 1))


def test_most_people_with_two_accounts_are_found_and_few_others(suggested: list[Suggestion]) -> None:
    right = sum(map(is_right, suggested))
    assert right >= 75
    assert right >= 0.9 * len(suggested)


def test_the_surest_come_first_and_none_is_certain_or_unlikely(suggested: list[Suggestion]) -> None:
    confidence = [each.confidence for each in suggested]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[-1] >= LIKELY
    assert confidence[0] < 1


def test_an_account_is_suggested_once_with_one_of_another_platform(suggested: list[Suggestion]) -> None:
    names = [name for each in suggested for name in each[:2]]
    assert len(set(names)) == len(names)
    assert all(each.first < each.second for each in suggested)
    assert all(each.first.partition(":")[0] != each.second.partition(":")[0] for each in suggested)


def test_the_order_of_the_accounts_does_not_matter(suggested: list[Suggestion]) -> None:
    assert suggest(people(300, 150, 1)[::-1]) == suggested


def test_hardly_anything_is_suggested_where_nobody_has_two_accounts() -> None:
    assert len(suggest(people(400, 0, 1))) < 10


def test_nothing_is_suggested_without_times_or_another_platform_or_with_one_event_each() -> None:
    crowd = people(300, 150, 1)
    assert suggest([each._replace(times=each.times * 0) for each in crowd]) == []
    assert suggest([each for each in crowd if each.platform == "web"]) == []
    single = [
        each._replace(items=each.items[:1], times=each.times[:1], values=each.values[:1]) for each in crowd
    ]
    assert suggest(single) == []
    assert suggest([]) == []
