"""The JSON Schemas of events, items and links, for producers in any language: what ``streams.generous`` takes.

What msgspec makes of the types says what is well-formed. Here it is widened by what is taken beside that. Some limits
cannot be said in JSON Schema; ``tests/streams/test_schema.py`` names them.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, get_args

import msgspec

from afresh.state.people import Sign
from afresh.streams.generous import HIGHEST, LOWEST
from afresh.streams.messages import EVENT_VERSION, Event, Item, Link
from afresh.streams.times import EARLIEST_MS, LAST_MS

Schema = dict[str, Any]

_INTEGER = {"minimum": LOWEST, "maximum": HIGHEST}

DROPPED = {
    "description": "Anything else is dropped and counted. A map loses only the entries that are misshapen."
}

TIME_PATTERN = (
    "^(1989|199[0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
)
"""A time of RFC 3339. It may be of 1989, if it is of 1990 in UTC. Second 60 is a leap second."""

_TIME = {
    "anyOf": [
        {"type": "string", "format": "date-time", "pattern": TIME_PATTERN},
        {
            "type": "number",
            "minimum": EARLIEST_MS,
            "maximum": LAST_MS,
            "description": "Milliseconds since 1970; a fraction is cut off.",
        },
    ]
}
_VERSION = {"enum": [EVENT_VERSION, None], "default": EVENT_VERSION}
_AVAILABLE = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"},
        {"enum": [0, 1, None]},
    ],
    "default": True,
}
_KIND = {"enum": [*get_args(Sign), None], "default": "login"}
_CONFIDENCE = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"enum": [None]}],
    "default": 1.0,
}
_OWN = {
    "time": _TIME,
    "version": _VERSION,
    "available": _AVAILABLE,
    "kind": _KIND,
    "confidence": _CONFIDENCE,
}
"""Fields that are neither widened as the required ones are, nor ever dropped."""


def json_schemas() -> Schema:
    """Return the JSON Schemas of events, items and links."""
    kinds, components = msgspec.json.schema_components([Event, Item, Link], ref_template="#/$defs/{name}")
    for component in components.values():
        # Python 3.13 strips the indentation of docstrings, older ones keep it.
        component["description"] = cleandoc(component["description"])
        component["properties"] = {
            name: _OWN.get(name) or _widened(field, required=name in component["required"])
            for name, field in component["properties"].items()
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": components,
        # Not oneOf: an event is also an item, because unknown fields are ignored.
        "anyOf": [*kinds],
    }


def _widened(field: Schema, *, required: bool) -> Schema:
    """Widen the schema of a field by integers in place of texts; an optional one by anything, which is dropped."""
    if required:
        return _or_integer(field)
    default = field.pop("default")
    shapes = [_or_integer(shape) for shape in field.get("anyOf", [field])]
    return {"anyOf": [*shapes, DROPPED], "default": default}


def _or_integer(shape: Schema) -> Schema:
    return shape | {"type": ["string", "integer"]} | _INTEGER if shape.get("type") == "string" else shape
