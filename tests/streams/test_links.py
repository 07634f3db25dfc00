from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.people import Pair, Tie
from afresh.streams.batches import UnreadableBatch
from afresh.streams.checks import RefusedError
from afresh.streams.links import LinkTold, check_link, key_of_link, read_link
from afresh.streams.settings import Settings

SETTINGS = Settings(_env_file=None)
KEY = b'["app:7","web:ann"]'
LINK: dict[str, Any] = {"accounts": ["web:ann", "app:7"], "time": 1_700_000_000_000}


def json(**fields: Any) -> bytes:
    return msgspec.json.encode(LINK | fields)


def test_a_link_names_two_accounts_and_how_it_is_known() -> None:
    pair = Pair("app:7", "web:ann")
    assert check_link(KEY, json(), SETTINGS) == LinkTold("", pair, Tie("login", 1.0, LINK["time"]))
    device = json(kind="device", confidence=0.5, time="2023-11-14T22:13:20Z", more=1)
    assert check_link(KEY, device, SETTINGS).tie == Tie("device", 0.5, LINK["time"])
    assert check_link(KEY, None, SETTINGS) == LinkTold("", pair, None)


def test_a_key_may_be_spelled_as_any_json() -> None:
    assert check_link(b'[ "app:7",\n"web:\\u0061nn" ]', json(), SETTINGS).pair == Pair("app:7", "web:ann")


@pytest.mark.parametrize(
    ("reason", "key", "value"),
    [
        ("key", b'["web:ann","app:7"]', json()),
        ("key", b'["web:ann","web:ann"]', json(accounts=["web:ann", "web:ann"])),
        ("key", b'["web:ann"]', json()),
        ("key", b'[":app:7","web:ann"]', json()),
        ("key", b'["app:","web:ann"]', json()),
        ("key", b'["app","web:ann"]', json(accounts=["app", "web:ann"])),
        ("key", b'["app:7","web:bob"]', json()),
        ("key", b'["app:7","web:ann"', json()),
        ("key", b"['app:7', 'web:ann']", json()),
        ("key", b"[app:7, web:ann]", None),
        ("key", b"app:7", json()),
        ("key", b"web:ann", b"\n" + json()),
        ("key", b'["app:","web:ann"]', None),
        ("key", b'[":7","web:ann"]', None),
        ("key", b'["app:\\ud800","web:ann"]', None),
        ("key", b'["app:7","web:' + b"x" * 700 + b'"]', None),
        ("invalid", KEY, json(kind="friend")),
        ("invalid", KEY, json(confidence=1.5)),
        ("invalid", KEY, json(confidence="sure")),
        ("malformed", KEY, json().replace(b"{", b'{"confidence": NaN, ')),
        ("invalid", KEY, msgspec.json.encode({"accounts": LINK["accounts"]})),
        ("invalid", KEY, json(accounts=["app:7"])),
        ("time", KEY, json(time=0)),
        ("time", KEY, json(time=2**60)),
        ("version", KEY, json(version=9)),
        ("malformed", KEY, b"person-7"),
        ("too_large", KEY, json(more="x" * SETTINGS.text_limit_bytes)),
        ("unreadable", KEY, UnreadableBatch(b"")),
    ],
)
def test_a_link_that_cannot_be_used_is_refused(reason: str, key: bytes, value: bytes | None) -> None:
    with pytest.raises(RefusedError) as refused:
        check_link(key, value, SETTINGS)
    assert refused.value.reason == reason


@given(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9))
def test_the_key_of_any_two_accounts_names_both(one: str, other: str) -> None:
    accounts = (f"a:{one}", f"b:{other}")
    assert read_link(key_of_link(accounts[1], accounts[0]), None).pair == Pair(*accounts)


def test_a_link_as_0_1_0_had_it_names_an_account_and_a_canonical_user() -> None:
    told = LinkTold("tv:4711", Pair("tv:4711", "person-é", told=True), Tie("told", 1.0, 0))
    assert check_link(b"tv:4711", "person-é".encode(), SETTINGS) == told
    assert check_link(b"tv:4711", None, SETTINGS) == LinkTold("tv:4711", None, None)
    assert check_link(b"tv:4711", b"tv:4711", SETTINGS) == LinkTold("tv:4711", None, None)


@pytest.mark.parametrize(
    ("reason", "key", "value"),
    [
        ("key", None, b"person-7"),
        ("key", b"", b"person-7"),
        ("key", b"\xff:1", b"person-7"),
        ("key", b"nobody", b"person-7"),
        ("key", b"tv:" + b"x" * 1000, None),
        ("invalid", b"tv:4711", b""),
        ("invalid", b"tv:4711", b"\xff"),
        ("invalid", b"tv:4711", b"x" * 1000),
    ],
)
def test_a_link_of_which_a_key_of_rows_cannot_be_made_is_refused(
    reason: str, key: bytes | None, value: bytes | None
) -> None:
    """The empty name is the key of commands among the interactions: it would stop the worker that meets it."""
    with pytest.raises(RefusedError) as refused:
        check_link(key, value, SETTINGS)
    assert refused.value.reason == reason
