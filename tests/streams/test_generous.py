import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from afresh.streams.encodings import BOM
from afresh.streams.generous import EVENTS, ITEMS, GenerousDecoder
from afresh.streams.messages import Event, Item, event_decoder, item_decoder
from tests.streams.making import event_json
from tests.streams.test_messages import events, items
from tests.streams.test_schema import any_event, any_item

FIELDS = ["value", "session", "context", "title", "text", "attributes", "vectors"]


def item_json(**fields: Any) -> bytes:
    return msgspec.json.encode({"id": "i1", "domain": "films", "title": "Babe"} | fields)


def dropped() -> dict[str, float]:
    name = "afresh_fields_dropped_total"
    return {field: REGISTRY.get_sample_value(name, {"field": field}) or 0 for field in FIELDS}


@contextmanager
def counted(*fields: str) -> Iterator[None]:
    """Require that the block counts each of these fields once, and no other."""
    before = dropped()
    yield
    after = dropped()
    assert {name for name in FIELDS if after[name] - before[name]} == set(fields)
    assert sum(after.values()) - sum(before.values()) == len(fields)


@given(events)
def test_a_well_formed_event_is_read_by_field_as_it_is_read_strictly(event: Event) -> None:
    assert EVENTS.decode_by_field(msgspec.json.encode(event)) == event


@given(items)
def test_a_well_formed_item_is_read_by_field_as_it_is_read_strictly(item: Item) -> None:
    assert ITEMS.decode_by_field(msgspec.json.encode(item)) == item


@pytest.mark.parametrize(
    ("records", "strict", "generous"),
    [(any_event, event_decoder, EVENTS), (any_item, item_decoder, ITEMS)],
    ids=["events", "items"],
)
@given(data=st.data())
def test_whatever_is_taken_strictly_is_taken_as_it_is(
    records: Any, strict: msgspec.json.Decoder[Any], generous: GenerousDecoder[Any], data: st.DataObject
) -> None:
    line = json.dumps(data.draw(records)).encode()
    try:
        found = strict.decode(line)
    except msgspec.ValidationError:
        return
    assert generous.decode(line) == generous.decode_by_field(line) == found


@given(any_event)
def test_the_same_bytes_always_give_the_same_event(record: Any) -> None:
    def said() -> str:
        try:
            return repr(EVENTS.decode(json.dumps(record).encode()))
        except msgspec.ValidationError as error:
            return str(error)

    assert said() == said()


@pytest.mark.parametrize("name", ["id", "user", "item", "platform", "domain", "session"])
@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("-7", "-7"),
        ("-0.0", "0"),
        ("7e2", "700"),
        ("9007199254740993.0", "9007199254740993"),
        (str(2**64 - 1), str(2**64 - 1)),
        (str(-(2**63)), str(-(2**63))),
    ],
)
def test_an_id_or_name_that_is_an_integer_is_its_decimal_string(name: str, number: str, text: str) -> None:
    line = event_json(**{name: "HERE"}).replace(b'"HERE"', number.encode())
    with counted():
        assert getattr(EVENTS.decode(line), name) == text


@pytest.mark.parametrize(
    ("time", "read"),
    [
        (1.7e12, 1_700_000_000_000),
        (1796010612680.0, 1_796_010_612_680),
        (1796010612680.75, 1_796_010_612_680),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_any_number_of_ms_and_may_be_a_leap_second(time: Any, read: Any) -> None:
    assert EVENTS.decode(event_json(time=time)).time == read


@pytest.mark.parametrize(
    ("field", "written", "left"),
    [
        ("session", '""', None),
        ("session", "7.5", None),
        ("session", "true", None),
        ("session", '"' + "x" * 513 + '"', None),
        ("value", '"7"', None),
        ("value", "true", None),
        ("value", "[7]", None),
        ("value", "1e999", None),
        ("value", "9" * 400, None),
        ("context", '{"a":null}', None),
        ("context", '{"a":null,"b":1,"c":{"d":1},"e":[1],"f":1e999,"g":18446744073709551615}', {"b": 1}),
        ("context", "[]", None),
        ("context", '"tv"', None),
    ],
)
def test_a_misshapen_optional_field_of_an_event_costs_that_field_and_a_count(
    field: str, written: str, left: Any
) -> None:
    line = event_json(**{field: "HERE"}).replace(b'"HERE"', written.encode())
    with counted(field):
        found = EVENTS.decode(line)
    assert getattr(found, field) == left
    assert found == EVENTS.decode(event_json(**({} if left is None else {field: left})))


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("title", ["Babe"], ""),
        ("text", {"en": "A pig"}, ""),
        ("attributes", [1], {}),
        ("attributes", {"a": None, "b": {"c": 1}, "d": 1}, {"d": 1}),
        ("attributes", {"a": ["x", None, [1]], "b": [None], "c": []}, {"a": ["x"], "c": []}),
        ("vectors", [1.0], {}),
        (
            "vectors",
            {"a": [1, 0.5], "b": ["1"], "c": [None], "d": 1, "e": [[1]], "f": None},
            {"a": [1.0, 0.5]},
        ),
    ],
)
def test_a_misshapen_optional_field_of_an_item_costs_that_field_and_a_count(
    field: str, value: Any, left: Any
) -> None:
    with counted(field):
        assert getattr(ITEMS.decode(item_json(**{field: value})), field) == left


def test_each_misshapen_field_is_counted() -> None:
    with counted("session", "value", "context"):
        assert EVENTS.decode(event_json(session="", value="", context="")) == EVENTS.decode(event_json())


@pytest.mark.parametrize("field", ["value", "session", "context", "version"])
def test_null_in_an_optional_field_of_an_event_is_as_if_it_were_not_there(field: str) -> None:
    with counted():
        assert EVENTS.decode(event_json(**{field: None})) == EVENTS.decode(event_json())


@pytest.mark.parametrize("field", ["title", "text", "attributes", "vectors", "available", "version"])
def test_null_in_an_optional_field_of_an_item_is_as_if_it_were_not_there(field: str) -> None:
    with counted():
        assert ITEMS.decode(item_json(title="", **{field: None} if field != "title" else {})).title == ""
        assert getattr(ITEMS.decode(item_json(**{field: None})), field) == getattr(
            Item(id="", domain=""), field
        )


def test_a_title_that_is_an_integer_is_a_text() -> None:
    with counted():
        assert ITEMS.decode(item_json(title=1984)).title == "1984"


@pytest.mark.parametrize(
    ("written", "available"),
    [("true", True), ("false", False), ("True", True), ("FALSE", False), (1, True), (0, False), (0.0, False)],
)
def test_available_may_be_a_word_or_a_number(written: Any, available: bool) -> None:
    with counted():
        assert ITEMS.decode(item_json(available=written)).available is available


@pytest.mark.parametrize("written", ["no", "", "sold out", 2, [], {}])
def test_whether_an_item_is_available_is_never_guessed(written: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="available"):
        ITEMS.decode(item_json(available=written))


@pytest.mark.parametrize("field", ["id", "type", "time", "user", "item", "platform", "domain"])
@pytest.mark.parametrize("value", [None, True, 7.5, [], {}, ""])
def test_a_required_field_is_never_dropped(field: str, value: Any) -> None:
    if (field, value) == ("time", 7.5):
        return
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
        EVENTS.decode(event_json(**{field: value}))


def test_a_missing_field_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `user`"):
        EVENTS.decode(event_json(session="", user=...))


def test_a_byte_order_mark_is_left_out() -> None:
    assert EVENTS.decode(BOM + event_json()) == EVENTS.decode(event_json())
    assert EVENTS.decode(BOM + event_json(session="")) == EVENTS.decode(event_json())


@pytest.mark.parametrize("line", [b"", BOM, BOM + b"{", b'{"id":7,', b"\xff", b"[" * 100_000, BOM * 5000])
def test_what_is_no_json_stays_so(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        EVENTS.decode(line)
