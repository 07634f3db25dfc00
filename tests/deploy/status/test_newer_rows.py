from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition

from afresh.deploy.status.collect import kept_by_judge
from afresh.models import scorers
from afresh.state.judged.kept import JUDGE_ROW_VERSION, JudgeRow, Kept
from afresh.state.store.marks import CLAIM_KEY, PARTITION_ROW_KEY, PARTITION_ROW_VERSION, PartitionRow
from afresh.state.versions import ADVICE, RowVersionError
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

TOPICS = Topics(Settings(_env_file=None))
WEIGHTS = TopicPartition(TOPICS.weights.name, 0)


class Changelog:
    """Stands in for a consumer of one partition with these records."""

    def __init__(self, *records: tuple[bytes, bytes]) -> None:
        self.end = len(records)
        self._records = [
            SimpleNamespace(offset=offset, key=key, value=value)
            for offset, (key, value) in enumerate(records)
        ]
        self._at = 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [WEIGHTS]

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._at = offset

    def position(self, _: TopicPartition) -> int:
        return self._at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        left, self._at = self._records[self._at :], self.end
        return {WEIGHTS: left}


def partition_row(judged: JudgeRow, version: int = PARTITION_ROW_VERSION) -> bytes:
    return msgspec.msgpack.encode(PartitionRow(version=version, agent_state=msgspec.msgpack.encode(judged)))


def judge_row(version: int = JUDGE_ROW_VERSION, fusion: bytes = scorers.new_fusion().to_bytes()) -> JudgeRow:
    return JudgeRow(version=version, scorers=list(scorers.NAMES), fusion=fusion)


def kept(*records: tuple[bytes, bytes]) -> Kept | None:
    changelog: Any = Changelog(*records)
    return kept_by_judge(changelog, TOPICS, {WEIGHTS: 0}, {WEIGHTS: changelog.end})


def test_the_newest_partition_row_is_read() -> None:
    newer = judge_row(version=JUDGE_ROW_VERSION + 1)
    found = kept(
        (PARTITION_ROW_KEY, partition_row(newer)),
        (PARTITION_ROW_KEY, partition_row(judge_row())),
        (b"web:ann", b"a user's row"),
        (CLAIM_KEY, b""),
    )
    assert found is not None
    assert found.fusion.to_bytes() == scorers.new_fusion().to_bytes()


def test_without_a_partition_row_nothing_was_kept() -> None:
    assert kept((b"weights", b"the weights")) is None
    assert kept() is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            partition_row(judge_row(), PARTITION_ROW_VERSION + 1),
            f"A partition's row has version {PARTITION_ROW_VERSION + 1}",
        ),
        (
            partition_row(judge_row(version=JUDGE_ROW_VERSION + 1)),
            f"What the judge kept has version {JUDGE_ROW_VERSION + 1}",
        ),
        (partition_row(judge_row(fusion=b"short")), "What the judge kept has a layout"),
        (b"no row", "A partition's row has a layout"),
    ],
    ids=["partition", "judge", "fusion", "bytes"],
)
def test_rows_of_another_version_are_refused_with_a_sentence(row: bytes, problem: str) -> None:
    with pytest.raises(RowVersionError, match=problem) as refused:
        kept((PARTITION_ROW_KEY, row))
    assert str(refused.value).endswith(f"{ADVICE}.")
