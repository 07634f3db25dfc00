from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from afresh.deploy import suggest as module
from afresh.deploy.cli import app
from afresh.deploy.suggest import changes, fingerprints_of, is_told, newest_rows, standing_suggestions
from afresh.models.identity.suggesting import Suggestion
from afresh.state.keys import key_of
from afresh.state.people import Pair, People, Tie
from afresh.state.records import Interaction
from afresh.state.rows import users
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.streams.checks import RefusedError
from afresh.streams.links import check_link, key_of_link
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

SETTINGS = Settings(_env_file=None)
TOPICS = Topics(SETTINGS)
LOGIN = Tie("login", 1.0, 1_700_000_000_000)
START = 1_700_000_000


def row(user: str, *items: str, start: int = START) -> bytes:
    """Make the packed row of a user who rated some items, a minute apart."""
    made = users.UserRow()
    for number, item in enumerate(items):
        told = Interaction(
            event=f"{user} {number}",
            type="rating",
            time=1000 * (start + 60 * number),
            user=user,
            account=user,
            item=item,
            platform=user.partition(":")[0],
            domain="films",
            value=float(number),
            source=0,
            offset=number,
            received=0,
        )
        users.fold(made, told, 0, number)
    return users.pack(made)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes | None]]:
    """The records that a topic holds."""
    held: list[tuple[bytes, bytes | None]] = []

    def read(*_: Any) -> Iterator[Any]:
        return (SimpleNamespace(key=key, value=value) for key, value in held)

    monkeypatch.setattr(module, "read_whole", read)
    return held


def newest(most: int = 10) -> dict[str, bytes]:
    return newest_rows(None, TOPICS.users, most)


def standing() -> dict[bytes, float]:
    return standing_suggestions(None, TOPICS.identities_suggested)


def test_the_newest_row_of_each_user_counts_and_none_of_a_deleted_one(written: list[Any]) -> None:
    written += [
        (PARTITION_ROW_KEY, b"marks"),
        (b"web:ann", row("web:ann", "a")),
        (b"web:bob", row("web:bob", "a")),
        (b"web:ann", row("web:ann", "a", "b")),
        (b"web:bob", None),
    ]
    assert newest() == {"web:ann": row("web:ann", "a", "b")}


def test_only_users_with_the_newest_events_are_compared_though_more_are_read(written: list[Any]) -> None:
    rows = {f"web:u{number}": row(f"web:u{number}", "a", start=START + number) for number in range(20)}
    written += [(user.encode(), packed) for user, packed in rows.items()]
    assert set(newest(3)) == {"web:u17", "web:u18", "web:u19"}


def test_a_fingerprint_shows_history_values_and_what_has_left_the_history() -> None:
    items = [f"i{number}" for number in range(60)]
    (found,) = fingerprints_of({"web:ann": row("web:ann", *items)}, People())
    halves = [key_of(item) & 0xFFFFFFFF for item in reversed(items)]
    assert (found.account, found.platform) == ("web:ann", "web")
    assert found.items.tolist() == halves[:50]
    assert found.older.tolist() == halves[50:]
    assert found.times[:2].tolist() == [START + 60 * 59, START + 60 * 58]
    assert found.values[:2].tolist() == [59.0, 58.0]
    assert found.values.dtype == np.float32


def test_accounts_that_are_linked_already_are_not_compared() -> None:
    people = People()
    people.set(Pair("app:7", "web:ann"), LOGIN)
    rows = {user: row(user, "a") for user in ("app:7", "web:ann", "web:bob")}
    assert [each.account for each in fingerprints_of(rows, people)] == ["web:bob"]


def test_a_link_that_was_told_and_does_not_count_is_not_suggested() -> None:
    people = People()
    people.set(Pair("app:7", "web:ann"), Tie("household", 1.0, 1_700_000_000_000))
    assert is_told(people, "web:ann", "app:7")
    assert not is_told(people, "web:bob", "app:7")


def test_suggestions_that_stand_are_the_newest_and_a_record_of_somebody_else_is_written_anew(
    written: list[Any],
) -> None:
    one, other, strange = (key_of_link("app:7", f"web:{name}") for name in ("ann", "bob", "cy"))
    for key, (first, second), confidence in (
        (one, ("app:7", "web:ann"), 0.9),
        (one, ("app:7", "web:ann"), 0.8),
        (other, ("app:7", "web:bob"), 0.7),
    ):
        written += [
            (record.key, record.value)
            for record in changes({}, {key: Suggestion(first, second, confidence)}, 1)
        ]
    written += [(other, None), (strange, b"nonsense")]
    found = standing()
    assert found.pop(strange) != 0.5
    assert found == {one: 0.8}
    again = {strange: Suggestion("app:7", "web:cy", 0.9)}
    assert [each.key for each in changes(standing(), again, 1)] == [one, strange]


pairs = st.dictionaries(
    st.sampled_from([("app:1", "web:1"), ("app:1", "web:2"), ("app:2", "web:1")]),
    st.floats(0.5, 0.99),
)


@given(before=pairs, now=pairs)
def test_what_is_written_leaves_what_is_suggested_now_and_nothing_else(
    before: dict[tuple[str, str], float], now: dict[tuple[str, str], float]
) -> None:
    held = {key_of_link(*pair): confidence for pair, confidence in before.items()}
    wanted = {key_of_link(*pair): Suggestion(*pair, confidence) for pair, confidence in now.items()}
    for record in changes(held.copy(), wanted, 1_700_000_000_000):
        assert record.key is not None
        held.pop(record.key, None)
        if record.value is not None:
            held[record.key] = msgspec.json.decode(record.value)["confidence"]
    assert held == pytest.approx({key: each.confidence for key, each in wanted.items()}, abs=0.011)
    assert not list(changes(held, wanted, 1_700_000_000_000))


def test_a_suggestion_that_is_sent_on_as_a_link_is_refused() -> None:
    key = key_of_link("app:7", "web:ann")
    (record,) = changes({}, {key: Suggestion("app:7", "web:ann", 0.95)}, 1_700_000_000_000)
    with pytest.raises(RefusedError, match="kind"):
        check_link(key, record.value, SETTINGS)
    linked = msgspec.json.encode(msgspec.json.decode(record.value or b"") | {"kind": "device"})
    assert check_link(key, linked, SETTINGS).tie == Tie("device", 0.95, 1_700_000_000_000)


def test_the_command_runs_once_and_says_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    done = module.Suggested(6_040, 12, 3, 1)
    monkeypatch.setattr(module, "suggest_links", lambda _: done)
    result = CliRunner().invoke(app, ["suggest"])
    assert (result.exit_code, result.output) == (0, f"{done.words()}\n")
