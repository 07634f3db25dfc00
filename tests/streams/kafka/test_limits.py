import pytest

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.judged.kept import unpack
from afresh.state.rows import content, users
from afresh.state.store.changes import CHANGE_BYTES
from afresh.streams.kafka.limits import BATCH_BYTES, DEFAULT_BYTES, LEAST_BYTES, BatchLimits


def test_without_an_answer_kafkas_default_is_assumed() -> None:
    limits = BatchLimits()
    assert (limits.filled("t"), limits.room("t")) == (BATCH_BYTES, CHANGE_BYTES)
    assert limits.takes("t", 3 * DEFAULT_BYTES)


def test_a_larger_limit_makes_no_larger_batches() -> None:
    limits = BatchLimits({"t": 4 * DEFAULT_BYTES})
    assert (limits.filled("t"), limits.room("t")) == (BATCH_BYTES, CHANGE_BYTES)


def test_the_largest_rows_fit_at_the_least_limit() -> None:
    room, filled = BatchLimits({"t": LEAST_BYTES}).room("t"), BatchLimits({"t": LEAST_BYTES}).filled("t")
    assert content.longest(65_536) <= room
    assert 4 * len(unpack(b"").pack()) < filled - room
    names = {f"{number}" + "🎬" * 124: 2**32 for number in range(users.DOMAIN_LIMIT)}
    seen = bytes(4 * users.SEEN_LIMIT)
    row = users.UserRow(seen=seen, refused=seen, bought=seen, domains=names, last_event="🎬" * 512)
    assert len(users.pack(row)) <= room


def test_a_batch_that_was_within_the_limit_says_to_start_again() -> None:
    assert type(BatchLimits({"t": 1000}).too_large("t", 1000)) is StartAgainError


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"t": 1000}, "(1,000 bytes)"), ({}, "(by default 1,048,588 bytes)")],
)
def test_a_batch_that_cannot_be_cut_names_size_limit_setting_and_topic(
    limits: dict[str, int], words: str
) -> None:
    error = BatchLimits(limits).too_large("t", 1001)
    assert type(error) is AfreshError
    for word in (
        "1,001 bytes",
        "for t",
        "max.message.bytes",
        words,
        "--add-config max.message.bytes=1048588",
    ):
        assert word in str(error)
