"""Topics that change the same rows take turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from state import content as rows
from state.tables import RunTable
from streams.app import create_app
from streams.content import Content
from streams.messages import Embedding, Item, encode
from streams.runs import Runner
from streams.settings import Settings
from streams.topics import Topics
from tests.streams.making import FakeEvent, record
from tests.streams.test_runs import FakeApp, FakeStream


async def test_items_and_embeddings_of_a_partition_do_not_overwrite_each_other(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, partitions=1, namespace="test")
    topics = Topics(settings)
    table = RunTable(create_app(settings, "test"), name="content", changelog="test.c", partitions=1)
    app: Any = FakeApp()

    def item(offset: int, title: str, available: bool = True) -> FakeEvent:
        value = msgspec.json.encode(Item(id="a", domain="films", title=title, available=available))
        return FakeEvent([record(value, b"a", topic=topics.items.name, offset=offset)])

    process: Any = Content(Runner(app, "content"), table, settings, topics).agent
    await process(FakeStream(item(0, "t")))
    before = rows.unpack(table.rows[0].get(b"a") or b"")
    vector = FakeEvent(
        [
            record(
                encode(Embedding("a", before.content, "e", "1", b"\0\0")), b"a", topic=topics.embeddings.name
            )
        ]
    )
    await process(FakeStream(item(1, "t", False), vector))
    after = rows.unpack(table.rows[0].get(b"a") or b"")
    assert (after.available, after.embedding) == (False, b"\0\0")
