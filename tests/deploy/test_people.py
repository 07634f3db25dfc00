from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from afresh.deploy import people as module
from afresh.deploy.feeds import feed
from afresh.state.errors import AfreshError
from afresh.state.people import MOST_ACCOUNTS, Pair, People, Tie
from afresh.streams.kafka.sender import partition_of
from afresh.streams.links import check_link, key_of_link
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

SETTINGS = Settings(_env_file=None, partitions=3)
LOGIN = Tie("login", 1.0, 1_700_000_000_000)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bytes, bytes | None]]:
    """Collects what goes to Kafka: topic, partition, key and value."""
    found: list[tuple[str, int, bytes, bytes | None]] = []

    def send(topic: str, value: bytes | None, key: bytes, partition: int) -> Any:
        found.append((topic, partition, key, value))
        return SimpleNamespace(get=lambda timeout: None)

    @contextmanager
    def opened(settings: Settings, topic: Topic) -> Iterator[Any]:
        yield SimpleNamespace(send=send)

    monkeypatch.setattr(feed, "producer", opened)
    return found


def test_a_link_and_its_end_have_the_same_key_whatever_the_order_of_the_accounts(sent: list[Any]) -> None:
    module.link(SETTINGS, "web:ann", "app:7", "device", 0.95)
    module.unlink(SETTINGS, "app:7", "web:ann")
    key = key_of_link("app:7", "web:ann")
    assert [each[:3] for each in sent] == [("afresh.identities", partition_of(key, 3), key)] * 2
    told = check_link(key, sent[0][3], SETTINGS)
    assert told.tie is not None
    assert (told.tie.kind, told.tie.confidence) == ("device", 0.95)
    assert sent[1][3] is None


@pytest.mark.parametrize(("one", "other"), [("web:ann", "web:ann"), ("ann", "app:7"), ("web:ann", "web:")])
def test_accounts_that_cannot_be_linked_are_an_error_and_nothing_is_sent(
    sent: list[Any], one: str, other: str
) -> None:
    with pytest.raises(AfreshError, match="cannot be linked"):
        module.link(SETTINGS, one, other, "login", 1.0)
    assert sent == []


def known(*links: tuple[Pair, Tie]) -> People:
    people = People()
    for pair, tie in links:
        people.put(pair, tie)
    return people


def test_a_person_is_shown_with_all_links_and_why_some_do_not_count() -> None:
    people = known(
        (Pair("app:7", "web:ann"), LOGIN),
        (Pair("tv:1", "web:ann"), Tie("household", 1.0, 1)),
        (Pair("app:7", "tv:2"), Tie("device", 0.5, 1)),
        *((Pair("kiosk:1", f"web:{number}"), Tie("device", 1.0, 1)) for number in range(9)),
    )
    console = Console(width=150, record=True)
    console.print(module.people_table(people, "web:ann"))
    shown = console.export_text()
    assert "canonical user app:7; accounts: app:7, web:ann" in shown
    for words in ("yes", "no: people of a household are not one person", "no: not sure enough"):
        assert words in shown
    found = msgspec.json.decode(module.as_json(people, "web:3"))
    assert (found["canonical"], found["accounts"]) == ("web:3", ["web:3"])
    assert found["links"][0]["why_not"] == "kiosk:1 has more than 8 of them"


def test_links_that_join_too_many_accounts_say_so() -> None:
    names = [f"web:{number:03}" for number in range(MOST_ACCOUNTS + 1)]
    people = known(*((Pair(one, other), LOGIN) for one, other in pairwise(names)))
    found = msgspec.json.decode(module.as_json(people, "web:007"))
    assert found["accounts"] == ["web:007"]
    assert found["links"][0]["why_not"] == f"links join more than {MOST_ACCOUNTS} accounts"


def test_an_account_without_links_is_a_person_of_its_own() -> None:
    console = Console(width=100, record=True)
    console.print(module.people_table(People(), "web:[b]nobody[/b]"))
    assert "canonical user web:[b]nobody[/b]" in console.export_text()
