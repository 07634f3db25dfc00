from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.evaluate import prequential
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import read_log
from afresh.deploy.evaluate.prequential import Ranking
from afresh.deploy.evaluate.report import Output, Reporter, write_lists
from afresh.deploy.evaluate.trials import COLD_USERS, Trials, trials_of
from afresh.models.metrics.evaluation import MISS
from afresh.state.errors import AfreshError
from afresh.state.rows.content import TEMPLATE
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import catalogue, lines, shop

SETTINGS = Settings(_env_file=None, partitions=2)
LOG = read_log(SETTINGS, lines(shop(80)), lines(catalogue()))
TRIALS = trials_of(LOG, 0.5)


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    (made,) = prequential.run(Engine(SETTINGS, 10), LOG, TRIALS, {}, 10, lambda _: None)
    return made


def figures(ranking: Ranking, trials: Trials = TRIALS) -> dict[str, Any]:
    return Reporter(LOG, trials, {}, 10, TEMPLATE).figures(ranking, 12.345)


def test_a_hit_rate_is_the_share_of_ranks_among_the_first_ten(ranking: Ranking) -> None:
    made = figures(ranking)
    assert made["all"]["hr"]["mean"] == pytest.approx(
        ((ranking.ranks != MISS) & (ranking.ranks < 10)).mean(), abs=1e-6
    )
    assert made["all"]["hr"]["low"] <= made["all"]["hr"]["mean"] <= made["all"]["hr"]["high"]
    assert made["seconds"] == 12.3


def test_slices_hold_the_events_of_their_kind_and_empty_slices_are_left_out(ranking: Ranking) -> None:
    slices = figures(ranking)["slices"]
    assert sum(each["events"] for each in slices["domain"].values()) == len(ranking.ranks)
    assert all(
        each["events"] > 0 for group in slices.values() if isinstance(group, dict) for each in group.values()
    )
    assert slices["cold"][COLD_USERS]["events"] == (TRIALS.user_events[TRIALS.first :] < 5).sum()


def test_coverage_is_the_share_of_items_that_are_in_any_list(ranking: Ranking) -> None:
    listed = {item for items in ranking.lists for item in items[:10]}
    assert figures(ranking)["variety"]["coverage"] == pytest.approx(len(listed) / 40, abs=1e-6)


def test_nan_becomes_none_because_json_has_no_nan(ranking: Ranking) -> None:
    made = figures(ranking)
    assert made["variety"]["diversity"] is None
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize("name", ["lists.jsonl", "lists.jsonl.gz"])
def test_a_line_is_written_for_every_list_with_its_event(ranking: Ranking, tmp_path: Path, name: str) -> None:
    with Output(tmp_path / name) as output:
        write_lists(output, LOG, TRIALS, ranking)
    packed = (tmp_path / name).read_bytes()
    text = gzip.decompress(packed) if name.endswith(".gz") else packed
    written = [json.loads(line) for line in text.splitlines()]
    assert [each["items"] for each in written] == [list(items) for items in ranking.lists]
    assert [each["id"] for each in written] == [f"e{number}" for number in range(40, 80)]
    assert not any("propensities" in each for each in written)


def test_a_file_that_cannot_be_written_is_reported_before_the_work_begins(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=r"nowhere/lists.jsonl cannot be written \(No such file"):
        Output(tmp_path / "nowhere" / "lists.jsonl")


def test_a_disk_that_is_full_only_at_the_end_is_reported_too() -> None:
    with (
        pytest.raises(AfreshError, match=r"/dev/full cannot be written \(No space left"),
        Output(Path("/dev/full")) as output,
    ):
        output.write("a line\n")
