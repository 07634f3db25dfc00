"""Decodes events and items: strictly first, and generously what is misshapen but harmless.

The strict decoder of msgspec takes whatever is well-formed, at its speed. What it refuses is read field by field:

* An id, a name or a text that is an integer becomes its decimal string: 7 and 7.0 become ``"7"``.
* A time may be any JSON number, cut to whole milliseconds, and may name the leap second 60.
* An optional field that is null is as if it were not there. One that is misshapen is dropped and counted; a map loses
  only the entries that are misshapen.
* ``available`` may be ``"true"``, ``"false"``, 1 or 0. Another word is refused, because a guess could show what is
  withdrawn.

``streams.schema`` says the same as JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, ValidationError
from msgspec.structs import FieldInfo

from afresh.streams import metrics
from afresh.streams.encodings import BOM
from afresh.streams.messages import Item, Scalar, event_decoder, item_decoder, link_decoder
from afresh.streams.times import read_odd_text

K = TypeVar("K")
V = TypeVar("V", bound=Struct)

Mend = Callable[[bytes], object]
"""Reads the JSON of a field that the strict decoder refuses; returns None where it cannot."""

LOWEST, HIGHEST = -(2**63), 2**64 - 1
"""Range of the integers that become ids: those of 64 bits, with and without a sign."""

DECISIVE = frozenset({"available", "time", "version", "kind", "confidence"})
"""Optional fields that are never dropped: without them the record would mean something else."""

_FLAGS: dict[object, bool] = {"true": True, "false": False, 1: True, 0: False}


class _Field(NamedTuple):
    """How a field is read.

    Attributes
    ----------
    name
        Name of the field.
    strict
        Decodes the field as the strict decoder does.
    required
        Whether the record has no meaning without the field.
    mend
        Reads what the field may be beside that, without a loss.
    thin
        Returns what is left of a map that is misshapen.
    """

    name: str
    strict: Callable[[bytes], object]
    required: bool
    mend: Mend | None
    thin: Mend | None


def _count_dropped(name: str) -> None:
    metrics.FIELDS_DROPPED.labels(name).inc()


class GenerousDecoder(Generic[V]):
    """Decodes one type of record from JSON, as ``msgspec.json.Decoder`` does, and takes what is harmless.

    Parameters
    ----------
    strict
        The strict decoder of the type.
    mend
        What fields may be beside what their types say, by name.
    thin
        For maps: what is left of one, by name.
    dropped
        Called with the name of a field that was dropped; by default the metric counts it.
    """

    def __init__(
        self,
        strict: msgspec.json.Decoder[V],
        mend: Mapping[str, Mend],
        thin: Mapping[str, Mend] | None = None,
        dropped: Callable[[str], object] = _count_dropped,
    ) -> None:
        self._strict = strict.decode
        self._kind = strict.type
        infos = msgspec.structs.fields(self._kind)
        raws = [(info.name, Raw, Raw(b"")) for info in infos]
        self._raws = msgspec.json.Decoder(msgspec.defstruct(f"Raw{self._kind.__name__}", raws)).decode
        thin = thin or {}
        self._dropped = dropped
        self._fields = [_field(info, mend.get(info.name), thin.get(info.name)) for info in infos]

    def decode(self, value: bytes) -> V:
        """Decode a record.

        Raises
        ------
        msgspec.DecodeError, UnicodeDecodeError, RecursionError
            When it is not JSON.
        msgspec.ValidationError
            When it cannot be used.
        """
        try:
            return self._strict(value)
        except ValidationError:
            return self.decode_by_field(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not value.startswith(BOM):
                raise
        return self.decode(value[len(BOM) :])

    def decode_by_field(self, value: bytes) -> V:
        """Decode a record field by field, generously; raises the errors of ``decode``."""
        raws = self._raws(value)
        found: dict[str, Any] = {}
        for field in self._fields:
            found |= self._read(field, bytes(getattr(raws, field.name)))
        return self._kind(**found)

    def _read(self, field: _Field, raw: bytes) -> dict[str, object]:
        """Return the field by its name, or nothing if its default stands for it."""
        if not raw:
            if field.required:
                raise ValidationError(f"Object missing required field `{field.name}`")
            return {}
        try:
            return {field.name: field.strict(raw)}
        except ValidationError as error:
            if raw == b"null" and not field.required:
                return {}
            return self._mended(field, raw, error)

    def _mended(self, field: _Field, raw: bytes, error: ValidationError) -> dict[str, object]:
        try:
            value = field.mend(raw) if field.mend else None
        except ValidationError as better:
            value, error = None, better
        if value is not None:
            return {field.name: value}
        if field.required or field.name in DECISIVE:
            raise ValidationError(f"{error} - at `$.{field.name}`") from error
        self._dropped(field.name)
        rest = field.thin(raw) if field.thin else None
        return {field.name: rest} if rest else {}


def _field(info: FieldInfo, mend: Mend | None, thin: Mend | None) -> _Field:
    return _Field(info.name, msgspec.json.Decoder(info.type).decode, info.required, mend, thin)


def _number(raw: bytes) -> Decimal | None:
    """Read a JSON number exactly; None for everything else, also for a string of digits."""
    return _decimals(raw) if raw[:1] in b"-0123456789" else None


def _integer(raw: bytes) -> int | None:
    number = _number(raw)
    # The range comes first: the integer of 1e999999999 would fill the memory.
    if number is None or not LOWEST <= number <= HIGHEST or number != int(number):
        return None
    return int(number)


def _text(raw: bytes) -> str | None:
    number = _integer(raw)
    return None if number is None else str(number)


def read_time(raw: bytes) -> datetime | int | None:
    """Read a time that the strict decoder refuses; None if it is none.

    Raises
    ------
    msgspec.ValidationError
        When it is no time, with a better reason than the strict decoder has.
    """
    if raw[:1] == b'"':
        return read_odd_text(raw)
    number = _number(raw)
    return None if number is None or not -(2**63) <= number < 2**63 else int(number)


def _flag(raw: bytes) -> bool | None:
    word = msgspec.json.decode(raw)
    if isinstance(word, str):
        word = word.lower()
    return _FLAGS.get(word) if isinstance(word, str | int | float) else None


def _attribute(raw: bytes) -> object:
    try:
        return _attribute_decoder(raw)
    except ValidationError:
        # A list loses the elements that are misshapen. A list without any is as good as no attribute.
        kept = [element for _, element in _well_formed(enumerate(_lists(raw)), _scalars)]
        if not kept:
            raise
        return kept


def _thinned(raw: bytes, read: Callable[[bytes], object]) -> dict[str, object]:
    """Return the entries of a map that are well-formed; none if it is no map."""
    try:
        entries = _maps(raw)
    except ValidationError:
        return {}
    return dict(_well_formed(entries.items(), read))


def _well_formed(
    entries: Iterable[tuple[K, Raw]], read: Callable[[bytes], object]
) -> Iterator[tuple[K, object]]:
    for key, raw in entries:
        with suppress(ValidationError):
            yield key, read(bytes(raw))


_decimals = msgspec.json.Decoder(Decimal).decode
_scalars = msgspec.json.Decoder(Scalar).decode
_attribute_decoder = msgspec.json.Decoder(Scalar | list[Scalar]).decode
_maps = msgspec.json.Decoder(dict[str, Raw]).decode
_vectors = msgspec.json.Decoder(list[float]).decode
_lists = msgspec.json.Decoder(list[Raw]).decode


def _items(dropped: Callable[[str], object]) -> GenerousDecoder[Item]:
    return GenerousDecoder(
        item_decoder,
        mend={
            "id": _text,
            "domain": _text,
            "title": _text,
            "text": _text,
            "available": _flag,
            "version": _integer,
        },
        thin={"attributes": partial(_thinned, read=_attribute), "vectors": partial(_thinned, read=_vectors)},
        dropped=dropped,
    )


EVENTS = GenerousDecoder(
    event_decoder,
    mend={
        "id": _text,
        "time": read_time,
        "user": _text,
        "item": _text,
        "platform": _text,
        "domain": _text,
        "session": _text,
        "version": _integer,
    },
    thin={"context": partial(_thinned, read=_scalars)},
)
ITEMS = _items(_count_dropped)
ITEMS_AGAIN = _items(lambda _: None)
"""For items that were read before, by a stage that counted what it dropped."""

LINKS = GenerousDecoder(link_decoder, mend={"time": read_time, "version": _integer})
