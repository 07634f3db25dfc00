import pytest
from faust.types import TP

from afresh.state.errors import AfreshError
from afresh.streams.kafka.alignment import require_alignment

CHANGELOGS = {"users", "items"}


def of(**topics: set[int]) -> list[TP]:
    return [TP(topic, partition) for topic, partitions in topics.items() for partition in partitions]


@pytest.mark.parametrize(
    "ours",
    [
        of(),
        of(events={0, 3}, clicks={0, 3}, users={0, 3}, items={0, 3}),
        # A topic without a table may have any of these partitions.
        of(events={1}, clicks={1, 2}, users={1, 2}, items={1, 2}),
    ],
)
def test_aligned_partitions_are_accepted(ours: list[TP]) -> None:
    require_alignment(ours, CHANGELOGS, 4)


@pytest.mark.parametrize(
    "ours",
    [
        of(events={0, 4}, users={0}, items={0}),
        of(events={4}),
        of(events={0}, users={1}, items={1}),
        of(events={0}, users={0}, items=set()),
        of(events={0}, users={0, 4}, items={0}),
        of(events={0, 4}, users={0, 4}, items={0, 4}),
    ],
)
def test_partitions_added_to_a_topic_are_refused(ours: list[TP]) -> None:
    with pytest.raises(AfreshError, match=r"Somebody has added partitions .*AFRESH_PARTITIONS is 4"):
        require_alignment(ours, CHANGELOGS, 4)


def test_for_an_app_without_tables_only_the_partition_number_counts() -> None:
    require_alignment(of(texts={0, 2}), set(), 4)
    with pytest.raises(AfreshError, match="Somebody has added partitions"):
        require_alignment(of(texts={4}), set(), 4)
