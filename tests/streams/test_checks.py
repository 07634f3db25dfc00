import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from afresh.deploy.servers.kafka import REPOSITORY
from afresh.streams.batches import UnreadableBatch
from afresh.streams.checks import (
    RefusedError,
    check_event,
    check_item,
    check_keyed_item,
    decode,
)
from afresh.streams.settings import Settings
from afresh.streams.times import EARLIEST_MS
from tests.streams.making import event_json

HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
NESTED = 20_000

SETTINGS = Settings(_env_file=None)
GOOD = b'{"id":"i1","domain":"films","title":"Babe"}'

EVENTS: dict[str, tuple[str, bytes]] = {
    "no JSON": ("malformed", b"{broken"),
    "nothing": ("malformed", b""),
    "bytes": ("malformed", b"\xff\x00\xfe"),
    "two values": ("malformed", event_json() * 2),
    "UTF-16": ("malformed", event_json().decode().encode("utf-16")),
    "NaN": ("malformed", event_json(value=0).replace(b'"value":0', b'"value":NaN')),
    "Infinity": ("malformed", event_json(value=0).replace(b'"value":0', b'"value":-Infinity')),
    "lone surrogate escaped": ("malformed", event_json(user="ann").replace(b'"ann"', b'"\\ud800"')),
    "lone surrogate reversed": ("malformed", event_json(user="ann").replace(b'"ann"', b'"\\udc00\\ud800"')),
    "lone surrogate encoded": ("malformed", event_json(user="ann").replace(b'"ann"', b'"\xed\xa0\x80"')),
    "deep lists": ("malformed", event_json()[:-1] + b',"x":' + b"[" * NESTED + b"]" * NESTED + b"}"),
    "deep maps": ("malformed", event_json()[:-1] + b',"x":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"),
    "null": ("invalid", b"null"),
    "list": ("invalid", b"[]"),
    "user of another type": ("invalid", event_json(user=True)),
    "user that is a fraction": ("invalid", event_json(user=7.5)),
    "user beyond 64 bits": ("invalid", event_json(user=0).replace(b'"user":0', b'"user":' + b"9" * 400)),
    "user of a billion digits": ("invalid", event_json(user=0).replace(b'"user":0', b'"user":1e999999999')),
    "version that is a text": ("invalid", event_json(version="1")),
    "misshapen and malformed": ("malformed", event_json(session="")[:-1]),
    "misshapen beside a lone surrogate": (
        "malformed",
        event_json(session="", item="i").replace(b'"item":"i"', b'"item":"\\ud800"'),
    ),
    "time of another type": ("invalid", event_json(time=True)),
    "time as a string of digits": ("invalid", event_json(time=str(NOW_MS))),
    "time of a billion digits": ("invalid", event_json(time=0).replace(b'"time":0', b'"time":1e999999999')),
    "leap second after the year 9999": ("invalid", event_json(time="9999-12-31T23:59:60Z")),
    "time without an offset": ("invalid", event_json(time="2023-11-14T00:00:00")),
    "time of no calendar": ("invalid", event_json(time="2023-02-30T00:00:00Z")),
    "time beyond 64 bits": ("invalid", event_json(time=0).replace(b'"time":0', b'"time":1' + b"0" * 30)),
    "unknown type": ("invalid", event_json(type="teleport")),
    "empty id": ("invalid", event_json(id="")),
    "empty user": ("invalid", event_json(user="")),
    "empty item": ("invalid", event_json(item="")),
    "colon in the platform": ("invalid", event_json(platform="web:eu")),
    "long id": ("invalid", event_json(id="x" * 513)),
    "unknown version": ("version", event_json(version=2)),
    "unknown version as a fraction": ("version", event_json(version=2.0)),
    "unknown version of a misshapen event": ("version", event_json(version=2, session="")),
    "version 0": ("version", event_json(version=0)),
    "before 1990": ("time", event_json(time=631_151_999_999)),
    "year 1": ("time", event_json(time="0001-01-01T00:00:00+23:59")),
    "seconds instead of ms": ("time", event_json(time=NOW_MS // 1000)),
    "fractions of seconds instead of ms": ("time", event_json(time=NOW_MS / 1000 + 0.5)),
    "microseconds instead of ms": ("time", event_json(time=NOW_MS * 1000)),
    "a fraction near 1970": ("time", event_json(time=1.5)),
    "more than a day ahead": ("time", event_json(time=NOW_MS + 24 * HOUR_MS + 1)),
    "year 9999": ("time", event_json(time="9999-12-31T23:59:59-23:59")),
    "lowest integer": ("time", event_json(time=-(2**63))),
    "highest integer": ("time", event_json(time=2**63 - 1)),
    "text of 1 MiB": ("too_large", event_json(context={"text": "x" * 2**20})),
    **{
        f"no {name}": ("invalid", event_json(**{name: ...}))
        for name in ("id", "type", "time", "user", "item")
    },
    **{f"without {name}": ("invalid", event_json(**{name: ...})) for name in ("platform", "domain")},
}

ITEMS: dict[str, tuple[str, bytes, bytes | None]] = {
    "no JSON": ("malformed", b"{broken", b"i1"),
    "lone surrogate": ("malformed", b'{"id":"i1","domain":"films","text":"\\ud800"}', b"i1"),
    "NaN": ("malformed", b'{"id":"i1","domain":"films","attributes":{"year":NaN}}', b"i1"),
    "deep": ("malformed", b'{"id":"i1","domain":"films","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", b"i1"),
    "no domain": ("invalid", b'{"id":"i1"}', b"i1"),
    "empty id": ("invalid", b'{"id":"","domain":"films"}', b"i1"),
    "available or not": ("invalid", b'{"id":"i1","domain":"films","available":"sold out"}', b"i1"),
    "available beyond numbers": ("invalid", b'{"id":"i1","domain":"films","available":1e999}', b"i1"),
    "version": ("version", b'{"id":"i1","domain":"films","version":2}', b"i1"),
    "1 MiB": ("too_large", b'{"id":"i1","domain":"films","text":"' + b"x" * 2**20 + b'"}', b"i1"),
    "key of another item": ("key", GOOD, b"i2"),
    "key that is no text": ("key", GOOD, b"\xff"),
    "no key": ("key", GOOD, None),
    "empty key": ("key", GOOD, b""),
}


def test_checks_import_neither_faust_nor_a_client_nor_torch() -> None:
    code = (
        "import sys, afresh.streams.checks; "
        "print({'faust', 'mode', 'aiokafka', 'kafka', 'torch', 'transformers', 'river'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / ".src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == b"set()\n"


@pytest.mark.parametrize(("reason", "value"), EVENTS.values(), ids=EVENTS.keys())
def test_an_unusable_event_is_refused_with_the_reason(reason: str, value: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        check_event(value, NOW_MS, SETTINGS)
    assert refused.value.reason == reason
    assert str(refused.value)


def test_an_event_without_a_value_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"An event has no value\.") as refused:
        check_event(None, NOW_MS, SETTINGS)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        (NOW_MS // 1000, "1700000000 looks like seconds; send milliseconds"),
        (NOW_MS / 1000 + 0.5, "1700000000 looks like seconds; send milliseconds"),
        (NOW_MS * 1000, "looks like microseconds; send milliseconds"),
        (NOW_MS * 1_000_000, "looks like nanoseconds; send milliseconds"),
        (
            str(NOW_MS),
            "a string of digits that looks like milliseconds; send milliseconds since 1970 as a number",
        ),
        (str(NOW_MS // 1000), "a string of digits that looks like seconds; send milliseconds"),
        ("7", "a string of digits; send milliseconds since 1970 as a number"),
        (EARLIEST_MS - 1, "is before 1990 or too far ahead"),
        (NOW_MS + 48 * HOUR_MS, "is before 1990 or too far ahead"),
    ],
)
def test_a_time_in_another_unit_is_refused_with_a_hint_that_names_the_unit(time: Any, hint: str) -> None:
    with pytest.raises(RefusedError, match=hint):
        check_event(event_json(time=time), NOW_MS, SETTINGS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_an_event_in_another_encoding_is_refused_by_the_name_of_the_encoding(encoding: str) -> None:
    with pytest.raises(RefusedError, match=f"This is {encoding[:6].upper()}; send UTF-8"):
        check_event(event_json().decode().encode(encoding), NOW_MS, SETTINGS)


@pytest.mark.parametrize("time", [EARLIEST_MS, NOW_MS + 24 * HOUR_MS, "1990-01-01T00:00:00Z"])
def test_an_event_from_1990_to_one_day_ahead_of_kafka_is_taken_in(time: Any) -> None:
    assert check_event(event_json(time=time), NOW_MS, SETTINGS).id == "e1"


def test_settings_limit_how_far_ahead_and_how_large_events_may_be() -> None:
    strict = SETTINGS.model_copy(update={"clock_ahead_hours": 1, "text_limit_bytes": len(event_json())})
    assert check_event(event_json(), NOW_MS, strict).user == "ann"
    for value in (event_json(id="e2", time=NOW_MS + HOUR_MS + 1), event_json() + b" "):
        with pytest.raises(RefusedError):
            check_event(value, NOW_MS, strict)


@pytest.mark.parametrize(("reason", "value", "key"), ITEMS.values(), ids=ITEMS.keys())
def test_an_unusable_item_is_refused_with_the_reason(reason: str, value: bytes, key: bytes | None) -> None:
    with pytest.raises(RefusedError) as refused:
        check_keyed_item(key, value, SETTINGS)
    assert refused.value.reason == reason
    assert str(refused.value)


def test_an_item_needs_its_own_id_as_key_and_no_value_deletes_it() -> None:
    item = check_keyed_item(b"i1", GOOD, SETTINGS)
    assert item is not None
    assert item == check_item(GOOD, SETTINGS)
    assert item.title == "Babe"
    assert check_keyed_item(b"i1", None, SETTINGS) is None


@pytest.mark.parametrize("key", [None, b""])
def test_an_item_record_without_a_key_is_refused(key: bytes | None) -> None:
    with pytest.raises(RefusedError, match="no key"):
        check_keyed_item(key, None, SETTINGS)


def test_a_batch_that_nothing_can_unpack_says_why_it_is_refused() -> None:
    batch = UnreadableBatch(b"\0" * SETTINGS.text_limit_bytes + b"\0")
    batch.why = "The batch cannot be unpacked."
    for check in (
        lambda: check_event(batch, NOW_MS, SETTINGS),
        lambda: check_item(batch, SETTINGS),
        lambda: check_keyed_item(None, batch, SETTINGS),
    ):
        with pytest.raises(RefusedError, match="cannot be unpacked") as refused:
            check()
        assert refused.value.reason == "unreadable"


@pytest.mark.parametrize("key", [b"\xff", b"x" * 513])
def test_a_deletion_whose_key_cannot_be_the_id_of_an_item_is_refused(key: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        check_keyed_item(key, None, SETTINGS)
    assert refused.value.reason == "key"


def test_json_of_any_schema_is_decoded_with_the_same_reasons() -> None:
    decoder = msgspec.json.Decoder(list[int])
    assert decode(decoder, b"[1]") == [1]
    for value, reason in ((b"[1", "malformed"), (b'["1"]', "invalid")):
        with pytest.raises(RefusedError) as refused:
            decode(decoder, value)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("vectors", "count"),
    [
        ({"image": [0.5, 1]}, 0),
        ({}, 0),
        ({"image": [0.5, 1, 2]}, 1),
        ({"image": [0, 0.0]}, 1),
        ({"sound": [1.0], "pose": [1.0]}, 1),
    ],
)
def test_an_item_whose_vectors_lists_cannot_read_is_taken_in_and_counted(
    vectors: dict[str, list[float]], count: int
) -> None:
    settings = SETTINGS.model_copy(update={"item_vectors": {"image": 2}})
    before = dropped_vectors()
    item = check_item(msgspec.json.encode({"id": "i1", "domain": "films", "vectors": vectors}), settings)
    assert item.vectors == vectors
    assert dropped_vectors() - before == count


def dropped_vectors() -> float:
    return REGISTRY.get_sample_value("afresh_fields_dropped_total", {"field": "vectors"}) or 0
