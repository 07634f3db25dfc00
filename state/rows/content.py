"""Content rows: what an item is, apart from what people do with it. They change rarely."""

from __future__ import annotations

import msgspec

from afresh.state.keys import key_of
from afresh.state.records import Scalar
from afresh.state.versions import unpack_known

CONTENT_ROW_VERSION = 1


class ContentRow(msgspec.Struct, frozen=True, array_like=True):
    """Text, attributes and embedding of an item.

    Attributes
    ----------
    version
        Version of this layout.
    domain, title, text, attributes, available
        As on ``afresh.items``.
    content
        Hash of the text that the encoder reads; 0 for no text.
    embedding
        Unit vector, float16, shape (e,); empty until the encoder has answered.
    encoder, encoder_version
        Name and version of the encoder that made the embedding.
    """

    version: int = CONTENT_ROW_VERSION
    domain: str = ""
    title: str = ""
    text: str = ""
    attributes: dict[str, Scalar | list[Scalar]] = {}
    available: bool = True
    content: int = 0
    embedding: bytes = b""
    encoder: str = ""
    encoder_version: str = ""


_decoder = msgspec.msgpack.Decoder(ContentRow)
pack = msgspec.msgpack.Encoder().encode
"""Pack an item's content row."""


def unpack(packed: bytes) -> ContentRow:
    """Unpack a content row.

    Raises
    ------
    RowVersionError
        The row has an unknown version or layout.
    """
    return unpack_known(_decoder, packed, "An item's content row", CONTENT_ROW_VERSION)


def text_for_encoder(title: str, text: str, attributes: dict[str, Scalar | list[Scalar]]) -> str:
    """Join title, text and attributes of an item into one text.

    Examples
    --------
    >>> text_for_encoder("Babe", "A pig herds sheep.", {"genres": ["Children", "Comedy"], "year": 1995})
    'Babe. A pig herds sheep. genres: Children, Comedy. year: 1995'
    """
    words = [f"{name}: {_words(value)}" for name, value in attributes.items()]
    return ". ".join(part.strip().rstrip(".") for part in (title, text, *words) if part.strip())


def _words(value: Scalar | list[Scalar]) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def content_hash(text: str) -> int:
    """Return the hash of a text; 0 for an empty text."""
    return key_of(text) if text else 0
