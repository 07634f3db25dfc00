import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from afresh.state.records import POSITIVE, REFUSED, Example, Interaction
from afresh.streams import messages
from afresh.streams.messages import (
    LONGEST_QUESTION,
    Answer,
    Embedding,
    Event,
    EventType,
    Item,
    KeyedRecord,
    Question,
    TextRequest,
    TextVector,
    encode,
)

names = st.text(min_size=1, max_size=12)
platforms = names.filter(lambda name: ":" not in name)
int64 = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.text(max_size=5) | int64 | floats | st.booleans()
contexts = st.none() | st.dictionaries(st.text(max_size=5), scalars, max_size=3)
types = st.sampled_from(get_args(EventType))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))

events = st.builds(
    Event,
    id=names,
    type=types,
    time=int64 | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=zones),
    user=names,
    item=names,
    platform=platforms,
    domain=names,
    value=st.none() | floats,
    session=st.none() | names,
    context=contexts,
)
items = st.builds(
    Item,
    id=names,
    domain=names,
    title=st.text(max_size=9),
    text=st.text(max_size=9),
    attributes=st.dictionaries(st.text(max_size=5), scalars | st.lists(scalars, max_size=3), max_size=3),
    vectors=st.dictionaries(
        st.text(max_size=5),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        max_size=3,
    ),
    available=st.booleans(),
)
interactions = st.builds(
    Interaction,
    source=st.integers(0, 999),
    offset=st.integers(0, 2**62),
    received=st.integers(-1, 2**62),
    event=names,
    type=types,
    time=int64,
    user=names,
    item=names,
    platform=platforms,
    domain=names,
    value=st.none() | floats,
    session=st.none() | names,
    context=contexts,
)
blobs = st.binary(max_size=32)
examples = st.builds(
    Example,
    st.integers(0, 999),
    st.integers(0, 2**62),
    names,
    names,
    int64,
    blobs,
    blobs,
    st.integers(0, 2**40),
)
requests = st.builds(TextRequest, names, st.integers(0, 2**64 - 1), st.text())
commands = st.builds(messages.Command, name=st.text(), time=st.integers(0, 2**53))
keyed = st.builds(
    KeyedRecord, st.integers(-1, 999), st.integers(-1, 2**62), int64, int64, st.none() | blobs, st.booleans()
)
questions = st.builds(
    Question,
    st.text(max_size=20),
    st.sampled_from(["document", "query"]),
    st.lists(st.text(max_size=12), max_size=8),
)
vectors = st.builds(TextVector, names, names, blobs, st.text(max_size=9))
answers = st.builds(Answer, st.lists(vectors, max_size=3), st.text(max_size=9))
embeddings = st.builds(Embedding, names, st.integers(0, 2**64 - 1), names, names, blobs)


@given(events)
def test_an_event_survives_json(event: Event) -> None:
    assert messages.event_decoder.decode(msgspec.json.encode(event)) == event


@given(items)
def test_an_item_survives_json(item: Item) -> None:
    assert messages.item_decoder.decode(msgspec.json.encode(item)) == item


CODECS: list[tuple[Any, Any]] = [
    (interactions, messages.interaction_decoder),
    (examples, messages.example_decoder),
    (requests, messages.text_request_decoder),
    (embeddings, messages.embedding_decoder),
    (questions, messages.question_decoder),
    (answers, messages.answer_decoder),
    (commands, messages.command_decoder),
    (keyed, messages.keyed_decoder),
]


@pytest.mark.parametrize(("records", "decoder"), CODECS)
@given(st.data())
def test_our_own_records_survive_packing(records: Any, decoder: Any, data: st.DataObject) -> None:
    record: Struct = data.draw(records)
    assert decoder.decode(encode(record)) == record


def test_a_question_is_a_query_for_all_encoders_unless_it_says_otherwise() -> None:
    assert messages.question_decoder.decode(encode(["text"])) == Question("text", "query", [])


@given(st.text(max_size=5))
def test_a_question_longer_than_the_limit_is_none(more: str) -> None:
    packed = encode(Question("x" * LONGEST_QUESTION + more))
    if more:
        with pytest.raises(msgspec.ValidationError, match=f"length <= {LONGEST_QUESTION}"):
            messages.question_decoder.decode(packed)
    else:
        assert messages.question_decoder.decode(packed).text == "x" * LONGEST_QUESTION


@given(st.integers(0, 999) | st.just(messages.NO_SOURCE), st.binary(max_size=9))
def test_a_keyed_record_has_one_key_for_each_key_and_source_partition(partition: int, key: bytes) -> None:
    packed = messages.keyed_key(partition, key)
    assert messages.own_key(packed) == key
    assert packed != messages.keyed_key((partition + 1) % 1000, key)


def test_an_unknown_field_is_ignored() -> None:
    event = {"id": "e", "type": "view", "time": 0, "user": "u", "item": "i", "platform": "p", "domain": "d"}
    plain = messages.event_decoder.decode(json.dumps(event))
    assert messages.event_decoder.decode(json.dumps(event | {"shoe_size": 43})) == plain


def test_a_time_is_the_same_in_any_offset() -> None:
    decoder = msgspec.json.Decoder(messages.AwareTime)
    assert decoder.decode('"2026-11-23T16:40:00Z"') == decoder.decode('"2026-11-23T18:40:00+02:00"')
    assert decoder.decode('"2026-11-23T16:40:00Z"') == datetime(2026, 11, 23, 16, 40, tzinfo=UTC)


def test_every_event_but_an_impression_leaves_its_item_out() -> None:
    assert set(get_args(EventType)) - POSITIVE - REFUSED == {"impression"}
    assert not POSITIVE & REFUSED
