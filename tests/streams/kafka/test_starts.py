from dataclasses import replace

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from afresh.state.errors import AfreshError
from afresh.state.store.marks import Reached
from afresh.streams.kafka.starts import (
    Bounds,
    Committed,
    Looked,
    SourcePartition,
    refuse_lost_rows,
    start_of,
)

EVENTS = TP("test.events", 1)

NORMAL = SourcePartition(
    EVENTS, Bounds(7, 0, 40), Committed(30, 7), "test", "test.rows.changelog", Reached(7, 29, 100, 9)
)
SAME = Looked(Reached(0, 29, 100, 9), behind=30)


def lost() -> float:
    return REGISTRY.get_sample_value("afresh_records_lost_total", {"topic": EVENTS.topic}) or 0.0


def test_a_partition_goes_on_at_its_committed_offset() -> None:
    assert start_of(NORMAL, replace_behind(None)) == 30
    assert start_of(replace(NORMAL, committed=Committed(12, 7)), SAME) == 12, (
        "a commit that was not made is repeated"
    )
    assert start_of(replace(NORMAL, committed=None), SAME) == 0, (
        "deleted group offsets: everything is read anew"
    )
    fresh = SourcePartition(EVENTS, Bounds(7, 0, 5), None, "test", "test.rows.changelog", empty=True)
    assert start_of(fresh, Looked()) == 0


def replace_behind(behind: int | None) -> Looked:
    return SAME._replace(behind=behind)


def test_a_topic_that_was_made_again_is_read_from_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    made_again = replace(NORMAL, log=Bounds(8, 0, 100))
    assert start_of(made_again, Looked()) == 0
    assert "test.events was deleted and made again: test.events-1 is read from its beginning" in caplog.text
    without_rows = SourcePartition(EVENTS, Bounds(8, 0, 100), Committed(30, 7), "test")
    assert start_of(without_rows, Looked()) == 0


def test_a_commit_for_the_old_topic_means_nothing_once_rows_are_of_the_new_one() -> None:
    ahead = replace(NORMAL, log=Bounds(8, 0, 100), committed=Committed(80, 7), reached=Reached(8, 29, 100, 9))
    assert start_of(ahead, SAME._replace(behind=None)) == 30


def test_a_topic_without_ids_is_compared_by_its_offsets_only() -> None:
    unknown = replace(NORMAL, log=Bounds(0, 0, 40))
    assert start_of(unknown, SAME._replace(behind=None)) == 30
    with pytest.raises(AfreshError, match=r"another AFRESH_NAMESPACE"):
        start_of(replace(NORMAL, log=Bounds(0, 0, 10)), Looked())


def test_a_log_that_ends_before_what_was_counted_is_refused_with_the_way_out() -> None:
    cut = replace(NORMAL, log=Bounds(7, 0, 29))
    with pytest.raises(AfreshError, match=r"ends at offset 29, but records up to 29 were counted") as refused:
        start_of(cut, Looked())
    assert "delete the topic test.events and run: afresh topics create" in str(refused.value)
    marked = replace(NORMAL, reached=None, at_least=29, log=Bounds(7, 0, 29))
    with pytest.raises(AfreshError, match=r"another AFRESH_NAMESPACE"):
        start_of(marked, Looked())


def test_a_log_with_another_record_at_the_position_is_refused() -> None:
    for other in (Reached(0, 29, 101, 9), Reached(0, 29, 100, 8)):
        with pytest.raises(AfreshError, match=r"has another record at offset 29"):
            start_of(NORMAL, Looked(other, None))


def test_a_record_that_compaction_removed_gives_no_verdict() -> None:
    assert start_of(NORMAL, Looked(None, None)) == 30


def test_records_that_were_committed_but_are_in_no_row_are_refused() -> None:
    beyond = replace(NORMAL, committed=Committed(35, 7))
    with pytest.raises(
        AfreshError, match=r"rows were lost: .* taken in up to offset 34, .* end at its offset 29"
    ):
        start_of(beyond, SAME)
    empty = replace(beyond, reached=None, empty=True)
    with pytest.raises(AfreshError, match=r"rows in test.rows.changelog are all gone.*delete the offsets"):
        start_of(empty, Looked(None, 0))
    gone_too = replace(empty, log=Bounds(7, 35, 35))
    with pytest.raises(AfreshError, match=r"all gone"):
        start_of(gone_too, Looked())


def test_a_commit_behind_control_markers_and_what_compaction_removed_is_right() -> None:
    assert start_of(replace(NORMAL, committed=Committed(35, 7)), SAME._replace(behind=None)) == 35
    only_aborted = replace(NORMAL, committed=Committed(35, 7), reached=None, empty=True)
    assert start_of(only_aborted, Looked()) == 35


def test_a_stage_that_can_make_its_rows_anew_does_so() -> None:
    taken_over = replace(NORMAL, reached=None, empty=True, rebuilt=True)
    assert start_of(taken_over, Looked(None, 4)) == 0


def test_rows_of_0_1_0_do_not_tell_their_position() -> None:
    assert start_of(replace(NORMAL, reached=None, at_least=10), Looked(None, 11)) == 30


def test_a_commit_beyond_the_end_that_rows_do_not_confirm_is_not_gone_to() -> None:
    assert start_of(replace(NORMAL, committed=Committed(50, 7)), SAME._replace(behind=None)) == 30


@pytest.mark.parametrize(("committed", "count"), [(Committed(30, 7), 5), (Committed(12, 7), 5), (None, 5)])
def test_records_that_retention_removed_before_they_were_read_are_counted(
    committed: Committed | None, count: int
) -> None:
    """Those that were counted, and would only have been read again, are not lost."""
    before = lost()
    assert start_of(replace(NORMAL, committed=committed, log=Bounds(7, 35, 40)), Looked()) == 35
    assert lost() == before + count


def test_a_deployment_that_begins_with_what_retention_has_left_has_lost_nothing() -> None:
    before = lost()
    fresh = SourcePartition(EVENTS, Bounds(7, 35, 40), None, "test", "test.rows.changelog", empty=True)
    assert start_of(fresh, Looked()) == 35
    assert lost() == before


def test_a_changelog_without_its_beginning_is_refused() -> None:
    changelog = TP("test.rows.changelog", 1)
    refuse_lost_rows(changelog, Bounds(7, 0, 9), 7)
    refuse_lost_rows(changelog, Bounds(7, 0, 9), 0)
    with pytest.raises(AfreshError, match=r"the first 1,253 records of test.rows.changelog-1 were deleted"):
        refuse_lost_rows(changelog, Bounds(7, 1253, 2000), 7)


def test_a_changelog_whose_rows_were_written_for_another_one_is_refused() -> None:
    """A worker that has not noticed yet writes into the new topic, which has no other rows."""
    with pytest.raises(
        AfreshError, match=r"rows were lost: test.rows.changelog was made again while a worker wrote"
    ):
        refuse_lost_rows(TP("test.rows.changelog", 1), Bounds(8, 0, 9), 7)
