from __future__ import annotations

import logging

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models import scorers
from afresh.models.fusion.fusion import BATCH
from afresh.state.judged.examples import BROKEN, TAUGHT, UNJUDGED, Collected, JudgedExamples
from afresh.state.judged.kept import unpack
from afresh.state.judged.verdicts import BLOCK, RANKINGS
from afresh.state.judged.weighing import Weighing

WIDTH = 2 * len(scorers.NAMES)


def record(*offsets: int, source: int = 0, became: int = TAUGHT, scale: float = 1.0) -> JudgedExamples:
    """Make a record of examples; what they say follows from their offsets."""
    collected = Collected(source)
    for offset in offsets:
        rng = np.random.default_rng(offset + 1000 * source)
        fields = {
            "received": 1000 * offset,
            "became": became,
            "item": offset,
            "ranks": rng.integers(0, 20, len(RANKINGS)).clip(max=10),
            "trust": 1.0,
            "situation": np.array([1.0, 0.2, 0.1, 0.0, 0.5]),
            "gradient": scale * rng.normal(size=WIDTH),
        }
        collected.add(offset, "films", "web", fields)
    (made,) = collected.together(1)
    return made


def weighing(packed: bytes = b"") -> Weighing:
    return Weighing(unpack(packed))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3 * BLOCK), st.randoms())
def test_what_is_learned_depends_on_the_order_of_the_log_alone(sources: list[int], cuts: object) -> None:
    """However examples are divided into records, repeated, and wherever the process ends."""
    whole, packed = weighing(), b""
    done: dict[int, int] = {}
    for offset, source in enumerate(sources):
        whole.take(record(offset, source=source))
        again = [each for each in range(max(0, offset - 3), offset) if sources[each] == source]
        part = weighing(packed)
        part.take(record(*again, offset, source=source), after=done.get(source, -1))
        done[source] = offset
        packed = part.kept.pack()
    assert packed == whole.kept.pack()
    assert whole.kept.fusion.examples == len(sources)


def test_examples_that_were_counted_before_are_left_out() -> None:
    one, other = weighing(), weighing()
    one.take(record(*range(30)))
    other.take(record(*range(20)))
    other.take(record(*range(10, 30)), after=19)
    assert one.kept.pack() == other.kept.pack()


@pytest.mark.parametrize(("became", "refused"), [(UNJUDGED, 0), (BROKEN, 30)])
def test_examples_that_teach_nothing_count_and_leave_the_weights(became: int, refused: int) -> None:
    made = weighing()
    made.take(record(*range(30), source=2, became=became))
    kept = made.kept
    assert kept.fusion.examples == kept.sources[2].examples == 30
    assert kept.sources[2].refused == refused
    assert kept.verdicts.unjudged + kept.verdicts.totals()["all"][0] == 30
    assert np.array_equal(kept.fusion.omega, scorers.prior())


@pytest.mark.parametrize("scale", [np.nan, np.inf, 1e6])
def test_garbage_of_one_worker_is_refused_counted_and_named(
    scale: float, caplog: pytest.LogCaptureFixture
) -> None:
    made = weighing()
    with caplog.at_level(logging.WARNING, "afresh.state.judged.weighing"):
        for start in range(0, 100, 10):
            made.take(record(*range(start, start + 10), source=1))
            made.take(record(*range(start, start + 10), source=3, scale=scale))
    kept = made.kept
    assert {number: each.refused for number, each in kept.sources.items()} == {1: 0, 3: 100}
    assert kept.fusion.version == 100 // BATCH
    assert [each.message.partition(" are garbage")[0] for each in caplog.records] == [
        f"{count} examples of partition 3" for count in (1, 10, 100)
    ]


def test_one_source_of_garbage_within_bounds_moves_the_weights_no_further_than_others() -> None:
    """A quarter of the examples push every weight one way, as hard as they may; the others say nothing together."""
    made, alone = weighing(), weighing()
    for start in range(0, 2000, 5):
        for source in (0, 1, 2):
            made.take(record(*range(start, start + 5), source=source))
            alone.take(record(*range(start, start + 5), source=source))
        pushing = record(*range(start, start + 5), source=3)
        packed = pushing.examples().copy()
        packed["gradient"] = 19.0
        made.take(msgspec.structs.replace(pushing, packed=packed.tobytes()))
    moved, without = (np.abs(each.kept.fusion.omega - scorers.prior()).max() for each in (made, alone))
    assert moved < 20
    assert made.kept.fusion.refused == 0
    assert without > 0


def test_examples_of_other_scorers_count_and_teach_nothing() -> None:
    made = weighing()
    foreign = msgspec.structs.replace(record(*range(30)), scorers=["another"], packed=b"of another size")
    made.take(foreign, after=9)
    assert (made.kept.fusion.examples, made.kept.verdicts.unjudged) == (20, 20)
    assert made.kept.fusion.version == 0


def test_a_rollback_is_a_new_version() -> None:
    made = weighing()
    made.take(record(*range(3 * BATCH)))
    before = made.kept.fusion.version
    made.roll_back(5)
    assert made.kept.fusion.version == before + 1
    assert np.array_equal(made.kept.fusion.omega, scorers.popularity_prior())
