"""What the first bytes of a text say about its encoding: all texts that people and producers give are UTF-8."""

from __future__ import annotations

import codecs

BOM = codecs.BOM_UTF8
"""The byte-order mark that some tools put before UTF-8. It says nothing, and is left out."""

_STARTS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    "{".encode("utf-32-le"): "UTF-32",
    "{".encode("utf-32-be"): "UTF-32",
    "{".encode("utf-16-le"): "UTF-16",
    "{".encode("utf-16-be"): "UTF-16",
}
"""Encodings by how a text begins. The longer ones come first, because UTF-16 begins like UTF-32."""


def foreign_encoding(text: bytes) -> str | None:
    """Name the encoding of a text, or of a JSON object, that cannot be UTF-8; None if it may be.

    Examples
    --------
    >>> foreign_encoding('{"id": 1}'.encode("utf-16")), foreign_encoding(b'{"id": 1}')
    ('UTF-16', None)
    """
    return next((name for start, name in _STARTS.items() if text.startswith(start)), None)
