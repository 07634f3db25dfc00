from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaTimeoutError
from redis.exceptions import ConnectionError as RedisGoneError

from afresh.deploy.servers.process import free_ports
from afresh.deploy.top.sources import PAUSE_SECONDS, Sources, open_sources
from afresh.state.errors import UnavailableError
from afresh.state.lists import UserList
from afresh.state.records import Interaction
from afresh.streams.settings import Settings
from tests.deploy.top.making import event, made


class Scripted:
    """Stands in for a feed: each poll returns the next events, or raises the next error."""

    def __init__(self, *answers: list[Interaction] | Exception, user: str = "web:ann") -> None:
        self.titles = {"alien": "Alien"}
        self.user = user
        self._answers = list(answers)

    def poll(self) -> list[Interaction]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Shelf:
    """Stands in for the reader of lists."""

    def __init__(self, **lists: UserList | Exception | bytes) -> None:
        self.lists = lists

    def of_user(self, user: str) -> bytes | None:
        found = self.lists.get(user.replace(":", "_").replace("-", "_"))
        if isinstance(found, Exception):
            raise found
        return msgspec.json.encode(found) if isinstance(found, UserList) else found


def opening(*feeds: Any) -> Callable[[ExitStack], Any]:
    """Open one feed after the other, or raise one error after the other."""
    left = list(feeds)

    def opened(_: ExitStack) -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return opened


def watching(lists: Any, *feeds: Any) -> tuple[Sources, list[float]]:
    waited: list[float] = []
    return Sources("web:ann", lists, opening(*feeds), waited.append), waited


def test_a_look_sees_events_the_list_and_titles() -> None:
    watched, waited = watching(Shelf(web_ann=made(1, "alien")), Scripted([event(1)]))
    look = watched.look()
    assert (look.user, look.events, look.list) == ("web:ann", [event(1)], made(1, "alien"))
    assert (look.titles, look.problems, waited) == ({"alien": "Alien"}, (), [])


def test_the_list_is_that_of_the_canonical_user() -> None:
    lists = Shelf(person_7=made(1, "alien"), web_ann=made(2, "moon"))
    watched, _ = watching(lists, Scripted([], user="person-7"))
    look = watched.look()
    assert (look.user, look.list) == ("person-7", made(1, "alien"))


def test_while_kafka_is_away_the_list_is_seen_and_kafka_is_asked_again() -> None:
    lists = Shelf(web_ann=made(1, "alien"))
    watched, waited = watching(
        lists,
        UnavailableError("Kafka did not answer"),
        Scripted(KafkaTimeoutError("gone")),
        Scripted([event(1)]),
    )
    away, gone, back = watched.look(), watched.look(), watched.look()
    assert away.problems == ("Kafka did not answer",)
    assert gone.problems[0].startswith("Kafka failed")
    assert away.list == gone.list == back.list == made(1, "alien")
    assert (back.problems, back.events) == ((), [event(1)])
    assert waited == [PAUSE_SECONDS, PAUSE_SECONDS]


@pytest.mark.parametrize(
    ("found", "said"),
    [(RedisGoneError("refused"), "Redis failed"), (b"{", "what Redis holds for web:ann is no list")],
)
def test_while_redis_is_away_or_holds_no_list_the_events_are_seen(found: Any, said: str) -> None:
    watched, _ = watching(Shelf(web_ann=found), Scripted([event(1)]))
    look = watched.look()
    assert (look.events, look.list) == ([event(1)], None)
    (problem,) = look.problems
    assert problem.startswith(said)


def test_both_being_away_is_said_in_two_sentences() -> None:
    kafka, redis = free_ports(2)
    settings = Settings(
        _env_file=None,
        kafka=f"127.0.0.1:{kafka}",
        redis=f"redis://127.0.0.1:{redis}/0",
        start_timeout_seconds=0.1,
    )
    with open_sources(settings, "web:ann") as watched:
        first, second = watched.look().problems
    assert first.startswith(f"Kafka at 127.0.0.1:{kafka} did not answer")
    assert second.startswith("Redis failed")
