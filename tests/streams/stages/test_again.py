import numpy as np
import pytest

from afresh.state.rows import content
from afresh.state.rows.content import TEMPLATE, ContentRow, Vector
from afresh.streams.stages.again import missing
from afresh.streams.stages.shared import Wanted

BOTH = Wanted(["2", "1"])

HASH = content.content_hash("Babe")


def vector(version: str, of: int = HASH, kind: str = content.TEXT) -> Vector:
    return Vector(kind, "minilm", version, of, np.ones(2, "<f2").tobytes())


def row(*vectors: Vector, title: str = "Babe") -> ContentRow:
    return ContentRow(title=title, content=content.content_hash(title), vectors=list(vectors))


@pytest.mark.parametrize(
    ("vectors", "unread"),
    [
        ([], ["2", "1"]),
        ([vector("1")], ["2"]),
        ([vector("2"), vector("1")], []),
        ([vector("2", of=7), vector("1")], ["2"]),
        ([vector("3")], ["2", "1"]),
    ],
)
def test_an_encoder_is_missing_that_has_not_read_the_present_text(
    vectors: list[Vector], unread: list[str]
) -> None:
    found = missing(row(*vectors), BOTH, TEMPLATE)
    assert (found.unread, found.text, found.row) == (unread, "Babe", row(*vectors))


def test_of_an_item_without_a_text_nothing_is_missing() -> None:
    assert missing(row(title=""), BOTH, TEMPLATE).unread == []


def test_another_template_makes_another_text_that_nobody_has_read() -> None:
    found = missing(row(vector("2"), vector("1")), BOTH, "Film: {title}")
    assert (found.text, found.unread) == ("Film: Babe", ["2", "1"])
    assert found.row.content == content.content_hash("Film: Babe")


def test_vectors_of_older_encoders_go_once_the_newest_is_alone_and_has_read_the_text() -> None:
    clicks = vector("7", kind="clicks")
    alone = Wanted(["2"], alone=True)
    assert missing(row(vector("1"), vector("2"), clicks), alone, TEMPLATE).row == row(vector("2"), clicks)
    unread = row(vector("1"), vector("2", of=7))
    assert missing(unread, alone, TEMPLATE).row == unread
