"""Content rows: what an item is, apart from what people do with it. They change rarely."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from afresh.state.keys import key_of
from afresh.state.moments import OLDEST, Moment
from afresh.state.records import Scalar
from afresh.state.store.marks import OWN_KEYS
from afresh.state.versions import unpack_known

CONTENT_ROW_VERSION = 2

TEXT = "text"
"""Kind of a vector that an encoder of texts made."""

ENCODERS_KEPT = 3
"""Versions of encoders of which a row keeps a vector, for each kind: one that comes, the one that lists are made from,
and one to go back to."""

VECTORS_BYTES = 32_768
"""Upper bound on what encoders say in a row, with all else that does not come from the item's record."""

END, ATTRIBUTES = ". ", "{attributes}"
FIELD = re.compile(r"\{([^{}]+)\}")

TEMPLATE = "{title}. {text}. {attributes}"
"""Template of the text that encoders read; see ``text_for_encoder``."""


class Vector(msgspec.Struct, frozen=True, array_like=True):
    """What one encoder says of an item, or what the item brings.

    Attributes
    ----------
    kind
        What the encoder reads, which is ``text``, or the kind that the item names; see ``state.rows.brought``.
    encoder, encoder_version
        Name and version of the encoder; empty where the item brings the vector.
    content
        Hash of what the encoder read; 0 where the item brings the vector. 0.1.0 did not keep it; the vector is then
        taken to be that of the present text.
    vector
        Unit vector, float16, shape (e,).
    """

    kind: str
    encoder: str
    encoder_version: str
    content: int
    vector: bytes


class ContentRow(msgspec.Struct, frozen=True, array_like=True):
    """Text, attributes and vectors of an item, or only that it was deleted.

    Attributes
    ----------
    version
        Version of this layout.
    domain, title, text, attributes, available
        As on ``afresh.items``.
    content
        Hash of the text that the encoder reads; 0 for no text.
    embedding, encoder, encoder_version
        The vector of a row of version 1; empty since then.
    vectors
        What encoders say of the item, the newest first, then what the item brings.
    time, partition, offset
        Moment of the newest record that the row was made from; see ``moment``.
    deleted
        Whether that record deletes the item. Its moment is kept: an older record of the item may yet come through
        another partition.
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
    vectors: list[Vector] = []
    time: int = OLDEST.time
    partition: int = OLDEST.partition
    offset: int = OLDEST.offset
    deleted: bool = False

    @property
    def moment(self) -> Moment:
        """Moment of the newest record that the row was made from."""
        return Moment(self.time, self.partition, self.offset)

    def all_of(self, kind: str) -> list[Vector]:
        """Return the vectors of a kind, the newest first."""
        return [vector for vector in self.vectors if vector.kind == kind]

    def is_read_by(self, version: str) -> bool:
        """Whether a version of an encoder has read the present text."""
        return any(
            each.encoder_version == version and each.content == self.content for each in self.all_of(TEXT)
        )


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
    row = unpack_known(_decoder, packed, "An item's content row", CONTENT_ROW_VERSION)
    return row if row.version == CONTENT_ROW_VERSION else _renewed(row)


def unpack_items(latest: Mapping[bytes, bytes | None]) -> tuple[dict[str, ContentRow], list[str]]:
    """Unpack the newest rows of some items, by item id.

    Returns
    -------
    The rows of the items that there are, by id, and the ids of those that there are not, or not any more.

    Raises
    ------
    RowVersionError
        A row has an unknown version or layout.
    """
    rows, gone = dict[str, ContentRow](), list[str]()
    for key, packed in latest.items():
        if key in OWN_KEYS:
            continue
        row = None if packed is None else unpack(packed)
        if row is None or row.deleted:
            gone.append(key.decode())
        else:
            rows[key.decode()] = row
    return rows, gone


def _renewed(row: ContentRow) -> ContentRow:
    """Return an older row in the present layout, which an older program refuses and so cannot cut short."""
    before = [Vector(TEXT, row.encoder, row.encoder_version, row.content, row.embedding)]
    return replace(
        row,
        version=CONTENT_ROW_VERSION,
        embedding=b"",
        encoder="",
        encoder_version="",
        vectors=before if row.embedding else row.vectors,
    )


def with_vector(row: ContentRow, vector: Vector) -> ContentRow:
    """Return the row with a vector before all others of its kind; it replaces that of the same encoder and version.

    Examples
    --------
    >>> row = ContentRow()
    >>> for version in ("1", "2", "2", "3"):
    ...     row = with_vector(row, Vector("text", "minilm", version, 5, b"vector"))
    >>> [each.encoder_version for each in row.vectors]
    ['3', '2', '1']
    """
    made_by = (vector.encoder, vector.encoder_version)
    kept = [each for each in row.all_of(vector.kind) if (each.encoder, each.encoder_version) != made_by]
    others = [each for each in row.vectors if each.kind != vector.kind]
    return replace(row, vectors=[vector, *kept[: ENCODERS_KEPT - 1], *others])


def without_vectors(row: ContentRow, kind: str) -> ContentRow:
    """Return the row without the vectors of a kind."""
    return replace(row, vectors=[each for each in row.vectors if each.kind != kind])


def longest(item_bytes: int) -> int:
    """Return an upper bound on the packed row of an item, given that on its JSON.

    A list of numbers grows most: ``1e5,`` becomes 9 bytes. A number of a vector, in JSON two bytes or more, becomes 2.

    Examples
    --------
    >>> longest(65_536)
    180224
    """
    return 9 * item_bytes // 4 + VECTORS_BYTES


def text_for_encoder(
    title: str, text: str, attributes: dict[str, Scalar | list[Scalar]], template: str = TEMPLATE
) -> str:
    """Join title, text and attributes of an item into one text.

    Parameters
    ----------
    title, text, attributes
        As on ``afresh.items``.
    template
        Sentences that end in ``". "``, with names of fields in braces. A sentence without a value for each of its
        fields is left out. ``{attributes}`` stands for a sentence about each attribute.

    Examples
    --------
    >>> babe = ("Babe", "A pig herds sheep.", {"genres": ["Children", "Comedy"], "year": 1995})
    >>> text_for_encoder(*babe)
    'Babe. A pig herds sheep. genres: Children, Comedy. year: 1995'
    >>> text_for_encoder(*babe, "{title} ({year}) is for {genres}. {director} made it")
    'Babe (1995) is for Children, Comedy'
    """
    words = {name: _words(value) for name, value in attributes.items()}
    values = words | {"title": title, "text": text}
    sentences: list[str] = []
    for sentence in template.split(END):
        if sentence == ATTRIBUTES:
            sentences += [f"{name}: {value}" for name, value in words.items()]
        elif all(values.get(name, "").strip() for name in FIELD.findall(sentence)):
            sentences.append(FIELD.sub(lambda field: values[field[1]], sentence))
    return END.join(each.strip().rstrip(".") for each in sentences if each.strip())


def _words(value: Scalar | list[Scalar]) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def content_hash(text: str) -> int:
    """Return the hash of a text; 0 for an empty text."""
    return key_of(text) if text else 0
