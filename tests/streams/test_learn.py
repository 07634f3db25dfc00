from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from models import factors, scorers
from state import behaviour
from state.behaviour import BehaviourRows
from state.keys import key_of
from state.tables import Change
from streams.learn import Pending, histories, learn, rounds
from streams.messages import Example, encode
from streams.runs import RunDroppedError
from streams.sender import BATCH_BYTES, Record
from streams.settings import Settings
from tests.replay.memory import Pipeline
from tests.streams.making import packed_size

DAY_MS = 86_400_000
VECTORS = factors.item_codes(np.array([1, 2], np.uint64)).tobytes()


def example(item: str, *history: str, offset: int = 0, time: int = 100 * DAY_MS, ago: int = 60) -> Example:
    keys = np.array([key_of(each) for each in history], "<u8").tobytes()
    times = np.array([time // 1000 - ago * (1 + place) for place in range(len(history))], "<u4").tobytes()
    return Example(0, offset, item, "films", time, keys, times, VECTORS if history else b"")


def learned(*examples: Example) -> tuple[BehaviourRows, Change]:
    rows, change = BehaviourRows({}), Change({}, 1)
    learn(rows, change, examples, 0)
    return rows, change


def row_of(rows: BehaviourRows, item: str) -> Any:
    return rows.array[rows.number[item.encode()]]


@given(st.lists(st.integers(0, 5), max_size=40))
def test_rounds_hold_each_number_once_and_in_order(numbers: list[int]) -> None:
    found = rounds(np.array(numbers, np.int64))
    assert sorted(place for each in found for place in each.tolist()) == list(range(len(numbers)))
    for nth, places in enumerate(found):
        for place in places.tolist():
            assert numbers[:place].count(numbers[place]) == nth


def test_histories_are_arrays_of_one_width() -> None:
    keys, ages = histories([example("a"), example("b", "x", "y", ago=30)])
    assert keys.shape == ages.shape == (2, scorers.HISTORY)
    assert keys[1, :3].tolist() == [key_of("x"), key_of("y"), 0]
    assert ages[1, :2].tolist() == [30, 60]
    assert np.isnan(ages[0]).all()
    assert np.isnan(ages[1, 2:]).all()


def test_an_item_of_the_history_that_is_newer_than_the_example_counts_as_one_of_now() -> None:
    _, ages = histories([example("b", "x", ago=-100)])
    assert ages[0, 0] == 0


def test_an_example_counts_for_the_item_taken_alone() -> None:
    rows, change = learned(example("b", "a"), example("b", "a", "c"), example("a"))
    assert [key for key, _ in change.records()] == [b"b", b"a", b""]
    taken = row_of(rows, "b")
    assert int(taken["examples"]) == 2
    assert taken["counts"].tolist() == scorers.counted(np.array([1, 2])).sum(axis=0).tolist()
    weights = dict(zip(taken["keys"].tolist(), taken["weights"].tolist(), strict=True))
    newest, before = scorers.LEARN.weights(np.array([60.0, 120.0], np.float32)).tolist()
    assert weights[key_of("a")] == pytest.approx(2 * newest)
    assert weights[key_of("c")] == pytest.approx(before)
    assert float(taken["mass"]) == pytest.approx(2 * newest + before)
    assert not row_of(rows, "a")["keys"].any()


def test_counts_fade_by_half_lives() -> None:
    rows, _ = learned(example("a", time=100 * DAY_MS), example("a", time=130 * DAY_MS))
    (amounts,) = scorers.counted(np.array([0]))
    left = 0.5 ** (30 * DAY_MS / scorers.HALF_LIVES_MS)
    np.testing.assert_allclose(row_of(rows, "a")["counts"], amounts * (1 + left))
    assert int(row_of(rows, "a")["time"]) == 130 * DAY_MS


def test_factors_step_after_a_fixed_count_of_examples() -> None:
    batch = [example(f"i{number}", "h") for number in range(factors.BATCH)]
    waiting, change = learned(*batch[:-1])
    assert not waiting.array["factors"].any()
    pending = msgspec.msgpack.decode(change.stage, type=Pending)
    assert (pending.examples, len(pending.items)) == (factors.BATCH - 1, factors.BATCH - 1)
    learn(waiting, change, batch[-1:], 0)
    assert waiting.array["factors"][: len(waiting)].any(axis=1).all()
    pending = msgspec.msgpack.decode(change.stage, type=Pending)
    assert (pending.examples, pending.items, pending.vectors) == (factors.BATCH, [], b"")


items = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(st.tuples(items, st.lists(items, max_size=3)), min_size=33, max_size=80),
    st.sets(st.integers(1, 79)),
)
@limits(deadline=None, max_examples=40)
def test_rows_and_stage_are_the_same_wherever_the_runs_end(
    taken: list[tuple[str, list[str]]], cuts: set[int]
) -> None:
    examples = [example(item, *history, offset=number) for number, (item, history) in enumerate(taken)]
    whole, change = learned(*examples)
    rows, cut = BehaviourRows({}), Change({}, 1)
    places = [0, *sorted(place for place in cuts if place < len(examples)), len(examples)]
    for start, end in pairwise(places):
        learn(rows, cut, examples[start:end], 0)
    assert dict(cut.records()) == dict(change.records())
    assert rows.ids == whole.ids


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Settings(_env_file=None, partitions=1, data_dir=tmp_path, list_size=5))


async def sizes_of_changes(pipeline: Pipeline, examples: list[Example]) -> list[int]:
    """Sizes of the changes in which these examples are written, as one run."""
    topic = pipeline.topics.examples.name
    sizes: list[int] = []
    runner: Any = pipeline.agents[topic].__self__._runner  # type: ignore[attr-defined]
    write = runner.write

    async def measured(run: Any, outgoing: Any, table: Any, change: Any) -> None:
        sizes.append(packed_size(change.records()))
        await write(run, outgoing, table, change)

    runner.write = measured
    for each in examples:
        pipeline.log.append(topic, 0, Record(each.item.encode(), encode(each)))
    await pipeline.step(topic, 0, len(examples))
    return sizes


async def test_a_long_run_is_written_in_parts_that_fit_a_record_batch(pipeline: Pipeline) -> None:
    sizes = await sizes_of_changes(pipeline, [example(f"i{n}", "h", offset=n) for n in range(2000)])
    assert pipeline.tables["behaviour"].count_rows() == 2000
    assert max(sizes) < BATCH_BYTES * 0.9
    assert len(sizes) < 40


@pytest.mark.parametrize(("waiting", "short"), [(0, 0), (factors.BATCH - 1, 0), (0, 2015)])
async def test_rows_of_long_ids_are_written_in_parts_that_fit_a_record_batch(
    pipeline: Pipeline, waiting: int, short: int
) -> None:
    names = [f"{n:04}" + "🎬" * 508 * (n >= short) for n in range(short + 1000)]
    examples = [example(name, "h", offset=n) for n, name in enumerate(names)]
    sizes = await sizes_of_changes(pipeline, examples[: short + waiting]) if short + waiting else []
    sizes += await sizes_of_changes(pipeline, examples[short + waiting :])
    assert pipeline.tables["behaviour"].count_rows() == len(names)
    assert max(sizes) < BATCH_BYTES * 0.9


async def test_an_example_delivered_again_changes_nothing(pipeline: Pipeline) -> None:
    await sizes_of_changes(pipeline, [example("a", "b", offset=0), example("c", offset=1)])
    before = pipeline.rows()["behaviour"]
    topic = pipeline.topics.examples.name
    pipeline.log.partitions[topic, 0].extend(pipeline.log.partitions[topic, 0][:2])
    await pipeline.step(topic, 0, 10)
    assert pipeline.rows()["behaviour"] == before


async def test_learning_of_a_run_that_was_dropped_leaves_no_traces(pipeline: Pipeline) -> None:
    topic = pipeline.topics.examples.name
    pipeline.log.append(topic, 0, Record(b"a", encode(example("a", "b"))))
    runner: Any = pipeline.agents[topic].__self__._runner  # type: ignore[attr-defined]

    def moved(_: str) -> bool:
        raise RunDroppedError

    runner.crash = moved
    with pytest.raises(RunDroppedError):
        await pipeline.step(topic, 0, 10)
    runner.crash = lambda _: False
    await pipeline.tables["behaviour"].on_rebalance(set(), set(), set())
    await pipeline.step(topic, 0, 10)
    row = behaviour.unpack([pipeline.tables["behaviour"].rows[0][b"a"]])[0]
    assert int(row["examples"]) == 1


def test_numbers_that_are_not_finite_do_not_get_into_the_factors() -> None:
    broken = np.full((2, factors.DIMENSIONS), np.nan, "<f4").tobytes()
    examples = [
        Example(0, n, f"i{n}", "films", DAY_MS, b"", b"", broken if n % 2 else VECTORS)
        for n in range(2 * factors.BATCH)
    ]
    rows, _ = learned(*examples)
    assert np.isfinite(rows.array["factors"]).all()
    assert rows.array["factors"].any()
