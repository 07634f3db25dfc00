import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from redis import Redis
from rich.console import Console

from afresh.deploy.recommend import Found, find, ranking_table
from afresh.deploy.servers import Server
from afresh.state.errors import AfreshError
from afresh.state.lists import popular_key, recommendations_key
from afresh.streams.settings import Settings

LIST = {
    "since": 1,
    "revision": 12,
    "generated_at": "2026-11-23T16:40:00.123456Z",
    "user": "web:ann",
    "last_event": "e1",
    "model": "m1",
    "items": [
        {"id": "film-1", "score": 1.23456, "parts": {"neighbours": 0.5, "text": 0.25}},
        {"id": "[red]film\x1b[2J", "score": 0.5, "parts": {}},
    ],
}
POPULAR = {
    "since": 0,
    "revision": 0,
    "generated_at": "2026-11-23T16:40:00Z",
    "domain": "films",
    "items": [{"id": "film-9", "score": 42.0}],
}


@pytest.fixture
def served(redis_server: Server) -> Iterator[Settings]:
    """Settings of a Redis that holds the list of web:ann and the popular items of films."""
    settings = Settings(_env_file=None, redis=SecretStr(redis_server.address), namespace="recommend-test")
    with Redis.from_url(redis_server.address) as redis:
        lists = {
            recommendations_key(settings.namespace, "web:ann"): json.dumps(LIST),
            popular_key(settings.namespace, "films"): json.dumps(POPULAR),
        }
        redis.mset(lists)
        yield settings
        redis.delete(*lists)


def shown(found: Found) -> str:
    console = Console(width=120, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(ranking_table(found))
    return capture.get()


def test_a_list_is_returned_unchanged(served: Settings) -> None:
    found = find(served, "web:ann")
    assert found.personal
    assert json.loads(found.json) == LIST


def test_a_user_without_a_list_gets_the_popular_items(served: Settings) -> None:
    found = find(served, "web:bob", "films")
    assert not found.personal
    assert json.loads(found.json) == POPULAR


def test_a_users_own_list_comes_before_the_popular_items(served: Settings) -> None:
    assert find(served, "web:ann", "films").personal


def test_without_a_list_and_without_a_domain_the_error_names_the_option_domain(served: Settings) -> None:
    with pytest.raises(AfreshError, match="no list for 'web:bob'; add --domain"):
        find(served, "web:bob")


def test_the_error_names_a_domain_that_has_no_popular_items_yet(served: Settings) -> None:
    with pytest.raises(AfreshError, match="nothing popular in 'books' yet"):
        find(served, "web:bob", "books")


def test_a_user_without_a_platform_makes_the_error_explain_how_users_are_named(served: Settings) -> None:
    with pytest.raises(AfreshError, match="users are named platform:user"):
        find(served, "ann")


def test_lists_of_another_namespace_are_not_found(served: Settings) -> None:
    with pytest.raises(AfreshError):
        find(served.model_copy(update={"namespace": "other"}), "web:ann", "films")


def test_the_table_shows_rank_item_score_and_parts() -> None:
    text = shown(Found("web:ann", True, json.dumps(LIST).encode()))
    first = next(line for line in text.splitlines() if "film-1" in line)
    assert [cell.strip() for cell in first.split("│")[1:-1]] == [
        "1",
        "film-1",
        "1.235",
        "neighbours 0.5, text 0.25",
    ]
    assert "web:ann" in text


def test_a_table_of_popular_items_says_that_it_is_one() -> None:
    assert "popular in films" in shown(Found("films", False, json.dumps(POPULAR).encode()))


def test_an_id_cannot_command_the_terminal() -> None:
    text = shown(Found("web:ann", True, json.dumps(LIST).encode()))
    assert "\x1b" not in text
    assert "[red]film" in text


@pytest.mark.parametrize("personal", [True, False])
def test_a_value_that_is_not_a_list_is_refused(personal: bool) -> None:
    with pytest.raises(AfreshError, match="what Redis holds for web:ann is no list"):
        ranking_table(Found("web:ann", personal, b"no JSON"))
