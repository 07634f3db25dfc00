from __future__ import annotations

import logging

import pytest

from afresh.state.model import told
from afresh.state.model.told import Message, Numbered, Revised, Told, Whole
from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.modelling.records import LED, all_of, applied, record_of


def test_versions_in_different_slots_and_parts_of_one_never_share_a_key() -> None:
    messages: list[Message] = [Numbered(1, 0, b""), Numbered(1, 9, b""), Told(1, 0, b""), Told(1, 9, b"")]
    keys = [record_of(message, slot).key for message in messages for slot in (0, 1)]
    assert len(set(keys)) == len(keys)


def test_the_end_of_a_version_and_its_revisions_replace_those_of_the_one_before() -> None:
    assert record_of(Whole(1, 0, 5, b""), 0).key == record_of(Whole(2, 1, 5, b""), 1).key
    one, other = (Revised(version, 3, 0, b"", b"", b"", b"") for version in (1, 2))
    assert record_of(one, 0).key == record_of(other, 1).key


def test_records_are_applied_as_messages_and_claims_are_left_out() -> None:
    taken: list[Message] = []
    led: list[bytes] = []
    whole = Whole(1, 0, 0, b"")
    apply = applied(taken.append, led.append)
    apply({CLAIM_KEY: None, LED: b"token", b"whole": told.encode(whole), b"told/0/0": None})
    assert taken == [whole]
    assert led == [b"token"]


def test_what_another_version_tells_is_ignored_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Message] = []
    with caplog.at_level(logging.WARNING):
        applied(taken.append, lambda _: None)({b"whole": b"\xc1"})
    assert not taken
    assert "does not understand what the model tells" in caplog.text


def test_several_functions_are_called_one_after_the_other() -> None:
    called: list[str] = []
    all_of([lambda each: called.append(f"first {each}"), lambda each: called.append(f"second {each}")])("x")
    assert called == ["first x", "second x"]
