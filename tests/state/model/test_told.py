from __future__ import annotations

import msgspec
import numpy as np
import pytest

from afresh.models.retrieval.asking import Items
from afresh.state.model import told
from afresh.state.model.told import TOLD, Message, Numbered, Revised, Told, Whole


@pytest.mark.parametrize(
    "message",
    [
        Numbered(1, 2, b"12345678"),
        Told(1, 2, b"rows"),
        Whole(1, 0, 5, b"heads"),
        Revised(1, 2, 3, b"keys", b"numbers", b"rows", b"heads"),
    ],
)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert told.decoder.decode(told.encode(message)) == message


def test_every_field_that_is_told_is_one_that_lists_read() -> None:
    assert set(TOLD.names or ()) < set(Items._fields)


def test_a_row_takes_at_most_1600_bytes() -> None:
    assert np.zeros(1, TOLD).nbytes <= 1600


def test_the_end_of_a_version_that_names_no_encoder_is_read() -> None:
    assert told.decoder.decode(msgspec.msgpack.encode(["whole", 1, 0, 5, b"heads"])) == Whole(
        1, 0, 5, b"heads"
    )
