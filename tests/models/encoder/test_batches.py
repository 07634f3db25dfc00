import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.encoder.batches import batches, threads_of


@given(st.lists(st.integers(0, 30)), st.integers(1, 60))
def test_each_text_with_tokens_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    made = list(batches(lengths, budget))
    assert sorted(place for batch in made for place in batch) == [n for n, each in enumerate(lengths) if each]
    assert all(len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget for batch in made)


def test_texts_of_similar_length_are_together() -> None:
    assert list(batches([2, 100, 1, 99, 98, 3], budget=300)) == [[1, 3, 4], [5, 0, 2]]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_an_encoder_leaves_a_core_to_others_unless_told_otherwise(
    cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert threads_of(None) == threads
    assert threads_of(5) == 5
