"""Again: what of its rows a stage asks encoders for once more, and what it takes out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from afresh.state.rows import content
from afresh.state.rows.content import ContentRow
from afresh.state.store.changes import Change
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.kafka.sender import Outgoing
from afresh.streams.kafka.tables import RunTable
from afresh.streams.messages import TextRequest, encode
from afresh.streams.runs.run import Owned
from afresh.streams.runs.runner import Runner
from afresh.streams.stages.prepared import PreparedStage
from afresh.streams.stages.shared import Shared, Wanted
from afresh.streams.stages.stage import Part

P = TypeVar("P", bound="Part[Any]")


class Missing(NamedTuple):
    """A row as it must be, its text, and the versions of encoders that have not read it."""

    row: ContentRow
    text: str
    unread: list[str]


def missing(row: ContentRow, wanted: Wanted, template: str) -> Missing:
    """Return what is missing in a row.

    Its text is made anew: another template may be set since. Vectors of other encoders are taken out where the newest
    one has read the text, once it alone is wanted.
    """
    text = content.text_for_encoder(row.title, row.text, row.attributes, template)
    row = replace(row, content=content.content_hash(text))
    unread = [version for version in wanted.versions if not row.is_read_by(version)] if text else []
    if wanted.alone and row.is_read_by(wanted.versions[0]):
        kept = [
            each
            for each in row.vectors
            if each.kind != content.TEXT or each.encoder_version in wanted.versions
        ]
        row = replace(row, vectors=kept)
    return Missing(row, text, unread)


class AskingStage(PreparedStage[P]):
    """A stage of content rows that can ask for texts again."""

    def __init__(self, runner: Runner, table: RunTable, shared: Shared) -> None:
        super().__init__(runner, table, shared)
        self._template = shared.settings.text_template
        self._longest = content.longest(shared.settings.text_limit_bytes)
        self.unreadable = set[bytes]()

    def keys(self, partition: int) -> Iterator[bytes]:
        """Yield the keys of the rows of a partition as of now."""
        return (key for key in self._table.rows[partition].keys_slowly() if key not in OWN_KEYS)

    def lacks(self, partition: int, key: bytes, wanted: Wanted) -> bool:
        """Whether an encoder has not read the text of a row, or something in it is not wanted any more."""
        row = self._unpacked(self._table.rows[partition].get(key))
        if row is None:
            return False
        found = missing(row, wanted, self._template)
        return bool(found.unread) or found.row != row

    def is_answered(self, partition: int, key: bytes, wanted: Wanted) -> bool:
        """Whether encoders have read the text of a row, or said that they cannot."""
        row = self._unpacked(self._table.rows[partition].get(key))
        return row is None or key in self.unreadable or not missing(row, wanted, self._template).unread

    async def ask_again(self, owned: Owned, keys: Sequence[bytes], wanted: Wanted) -> list[bytes]:
        """Ask encoders for what is missing in some rows, and write the rows that must be others.

        Returns
        -------
        The keys of the rows in which something is missing.
        """
        asked = list[bytes]()
        async with self._at_work[owned.partition]:
            left = iter(keys)
            while True:
                change = self._table.change(owned.partition)
                outgoing = Outgoing(self._shared.settings.partitions)
                changed = self._ask(left, wanted, change, outgoing, asked)
                if not (changed or outgoing.batches):
                    return asked
                await self._runner.write(owned, outgoing, self._table, change)

    def _ask(
        self, keys: Iterable[bytes], wanted: Wanted, change: Change, outgoing: Outgoing, asked: list[bytes]
    ) -> bool:
        """Ask for rows until the change is full; return whether it changes any row."""
        size = 0
        for key in keys:
            row = self._unpacked(change.get(key))
            if row is None:
                continue
            found = missing(row, wanted, self._template)
            if found.unread:
                self.unreadable.discard(key)
                request = TextRequest(key.decode(), found.row.content, found.text, found.unread)
                outgoing.add_keyed(self._shared.topics.texts_again.name, key, encode(request))
                asked.append(key)
            if found.row != row:
                packed = content.pack(found.row)
                change.put_row(key, packed)
                size += len(key) + len(packed)
            if size + self._longest > change.room:
                break
        return bool(size)

    @staticmethod
    def _unpacked(packed: bytes | None) -> ContentRow | None:
        """Return the row of an item that is there; None for a deleted one."""
        row = content.unpack(packed) if packed else None
        return None if row is None or row.deleted else row
