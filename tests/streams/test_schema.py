"""The schema and the checks say the same of events, items and links, but for what JSON Schema cannot say."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from afresh import streams
from afresh.streams.checks import RefusedError, check_event, check_item
from afresh.streams.links import decode_link
from afresh.streams.messages import EventType
from afresh.streams.schema import TIME_PATTERN, json_schemas
from afresh.streams.settings import Settings
from afresh.streams.times import EARLIEST_MS, LAST_MS

SCHEMA = Path(streams.__file__).with_name("schema.json")

# JSON Schema knows neither Kafka's clock nor bytes.
SETTINGS = Settings(_env_file=None, clock_ahead_hours=0, text_limit_bytes=2**30)

EVENT = {
    "id": "e1",
    "type": "view",
    "time": 1_700_000_000_000,
    "user": "ann",
    "item": "i1",
    "platform": "web",
    "domain": "films",
}
ITEM = {"id": "i1", "domain": "films"}
LINK = {"accounts": ["web:ann", "app:7"], "time": 1_700_000_000_000}

MISSING: Any = ...

floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers() | st.integers(-(2**65), 2**65) | st.sampled_from([-(2**63), 2**63, 2**64 - 1, 2**64])
leaves = st.none() | st.booleans() | integers | floats | st.integers(-9, 9).map(float) | st.text(max_size=4)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
texts = st.text(max_size=6) | st.sampled_from(
    ["x" * 128, "x" * 129, "x" * 512, "x" * 513, "🙂" * 128, "a:b", "7"]
)
flat = st.dictionaries(st.text(max_size=3), leaves | st.lists(leaves, max_size=3), max_size=3)
words = st.sampled_from(
    ["true", "false", "True", "fAlSe", "yes", "", "1", 0, 1, 0.0, 1.0, 2, -1, True, False]
)
versions: st.SearchStrategy[Any] = st.sampled_from([0, 1, 1.0, 2, "1", None, True, 1.5, []])


@st.composite
def written_times(draw: st.DrawFn) -> str:
    """Write a time as the schema says it, and then perhaps change a character."""
    text: str = draw(st.from_regex(TIME_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.sampled_from([*"0123456789:-+.TZtz x", ""])) + text[place + 1 :]
    # What JSON Schema cannot say: days of a month, and the first and last hours of all times; see UNSAID.
    assume(text[8:10] <= "28" and not text.startswith(("1989", "9999")))
    return text


numbers = st.integers(EARLIEST_MS - 2, EARLIEST_MS + 2) | st.integers(LAST_MS - 2, LAST_MS + 2)
ms = st.integers(EARLIEST_MS, LAST_MS)
times = ms | ms.map(float) | numbers | ms.map(lambda n: n // 1000) | ms.map(lambda n: n * 1000) | ms.map(str)


def either(well_formed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly something that may be well-formed; sometimes anything, or a missing field."""
    return well_formed | well_formed | well_formed | anything | st.just(MISSING)


def records(base: dict[str, Any], fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Make records of which up to three fields are changed."""
    changes = st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: either(fields[name]) for name in names})
    )
    return changes.map(
        lambda changed: {name: value for name, value in (base | changed).items() if value is not MISSING}
    )


any_event = records(
    EVENT,
    {
        "id": texts | integers,
        "type": st.sampled_from([*get_args(EventType), "teleport"]),
        "time": times | floats | written_times(),
        "user": texts | integers,
        "item": texts | integers,
        "platform": texts,
        "domain": texts,
        "value": leaves,
        "session": texts | leaves,
        "context": flat,
        "version": versions,
    },
)
any_item = records(
    ITEM,
    {
        "id": texts | integers,
        "domain": texts | leaves,
        "title": texts | leaves,
        "text": texts | leaves,
        "attributes": flat,
        "vectors": st.dictionaries(st.text(max_size=3), st.lists(leaves, max_size=3), max_size=3),
        "available": words,
        "version": versions,
    },
)


accounts = st.lists(
    st.sampled_from(["web:ann", "app:7", "ann", ":7", "a:", "tv:" + "x" * 638, 7]), max_size=3
)
any_link = records(
    LINK,
    {
        "accounts": accounts,
        "kind": st.sampled_from(["login", "device", "household", "friend", None, 1]),
        "confidence": leaves | st.floats(-0.5, 1.5),
        "time": times | floats | written_times(),
        "version": versions,
    },
)


def validator(name: str) -> Draft202012Validator:
    schemas = json_schemas()
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schemas["$defs"]})


EVENTS, ITEMS, LINKS = validator("Event"), validator("Item"), validator("Link")


def takes_event(line: bytes) -> bool:
    try:
        check_event(line, LAST_MS, SETTINGS)
    except RefusedError:
        return False
    return True


def takes_item(line: bytes) -> bool:
    try:
        check_item(line, SETTINGS)
    except RefusedError:
        return False
    return True


def takes_link(line: bytes) -> bool:
    try:
        decode_link(line)
    except RefusedError:
        return False
    return True


@given(any_link)
def test_the_schema_takes_exactly_the_links_that_the_check_takes(record: Any) -> None:
    assert LINKS.is_valid(record) == takes_link(json.dumps(record).encode()), record


@given(any_event)
def test_the_schema_takes_exactly_the_events_that_the_check_takes(record: Any) -> None:
    assert EVENTS.is_valid(record) == takes_event(json.dumps(record).encode()), record


@given(any_item)
def test_the_schema_takes_exactly_the_items_that_the_check_takes(record: Any) -> None:
    assert ITEMS.is_valid(record) == takes_item(json.dumps(record).encode()), record


@given(anything)
def test_the_schema_and_the_checks_agree_on_what_is_no_record_at_all(value: Any) -> None:
    line = json.dumps(value).encode()
    assert EVENTS.is_valid(value) == takes_event(line)
    assert ITEMS.is_valid(value) == takes_item(line)
    assert LINKS.is_valid(value) == takes_link(line)


def with_time(text: str) -> bytes:
    return json.dumps(EVENT | {"time": text}).encode()


UNSAID: dict[str, bytes] = {
    "a day that its month does not have": with_time("2023-02-30T00:00:00Z"),
    "1989 in UTC": with_time("1989-12-31T00:00:00Z"),
    "after the year 9999": with_time("9999-12-31T23:59:60Z"),
    "ahead of Kafka's clock": json.dumps(EVENT | {"time": LAST_MS}).encode(),
    "more bytes than the limit": json.dumps(EVENT | {"context": {"text": "x" * 2**20}}).encode(),
    "half a character": json.dumps(EVENT | {"user": "\ud800"}).encode(),
    "another encoding": json.dumps(EVENT).encode("utf-16"),
    "numbers that are not JSON": json.dumps(EVENT | {"value": float("nan")}).encode(),
}
"""What the schema takes and the check refuses, because JSON Schema cannot say it."""


@pytest.mark.parametrize("line", UNSAID.values(), ids=UNSAID.keys())
def test_what_json_schema_cannot_say_is_refused_by_the_check_alone(line: bytes) -> None:
    assert EVENTS.is_valid(json.loads(line))
    with pytest.raises(RefusedError):
        check_event(line, 1_800_000_000_000, Settings(_env_file=None))


@pytest.mark.parametrize("record", [EVENT, ITEM, LINK])
def test_an_event_an_item_and_a_link_fit_the_schema_as_a_whole(record: Any) -> None:
    schemas = json_schemas()
    Draft202012Validator.check_schema(schemas)
    assert Draft202012Validator(schemas).is_valid(record)


def test_the_schema_file_matches_the_structs() -> None:
    expected = json.dumps(json_schemas(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == expected, (
        "streams/schema.json is out of date; to write it anew, run in the repository's root: python -c "
        "'import json, afresh.streams.schema as m; print(json.dumps(m.json_schemas(), indent=2, sort_keys=True, "
        "ensure_ascii=False))' > streams/schema.json"
    )


def test_the_schema_names_the_required_fields() -> None:
    definitions: Any = json_schemas()["$defs"]
    assert definitions["Event"]["required"] == ["id", "type", "time", "user", "item", "platform", "domain"]
    assert definitions["Item"]["required"] == ["id", "domain"]
    assert definitions["Link"]["required"] == ["accounts", "time"]
