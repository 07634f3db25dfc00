from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch

from afresh.models.arrays import Floats
from afresh.models.sequence import trainer
from afresh.models.sequence.pasts import past_of
from afresh.models.sequence.trainer import SequenceTrainer

CYCLE = 12


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "BATCH", 12)
        yield


@pytest.fixture(scope="module")
def learned(_small: None) -> SequenceTrainer:
    """A trainer after some trainings; copy it before you go on with it."""
    return made(trainings=3)


def made(seed: int = 1, *, texts: bool = False, trainings: int = 1) -> SequenceTrainer:
    """Return a trainer of people who take the items of a cycle one after the other."""
    encoder = SequenceTrainer(seed)
    for item in range(CYCLE):
        encoder.know(item, np.eye(CYCLE)[item] if texts else None)
    for user in range(40):
        for step in range(10):
            encoder.take(user, (user + step) % CYCLE, 1000 * step)
    for _ in range(trainings):
        encoder.train()
    return encoder


def scores(encoder: SequenceTrainer, *items: int) -> Floats:
    """Return the scores of all items for a user who took these."""
    past = past_of((item, 1000 * step) for step, item in enumerate(items))
    return np.asarray(encoder.item_vectors() @ encoder.user_vectors([past])[0])


def right(encoder: SequenceTrainer) -> float:
    """Return for which share of items the one that follows in the cycle has the best score."""
    return float(np.mean([scores(encoder, item).argmax() == (item + 1) % CYCLE for item in range(CYCLE)]))


def moments(encoder: SequenceTrainer) -> dict[str, torch.Tensor]:
    """Return what the optimiser knows of the items' own vectors."""
    return dict(encoder._optimizer.state[encoder.network.items.own])


def test_it_learns_what_follows_what_where_all_items_are_equally_popular(
    learned: SequenceTrainer,
) -> None:
    assert right(learned) > 0.9


def test_it_learns_from_a_sample_of_items_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "FEW", 0)
    monkeypatch.setattr(trainer, "SAMPLE", 8)
    assert right(made(trainings=3)) > 0.9


def test_the_same_events_and_seed_give_the_same_encoder() -> None:
    first, second, other = scores(made(), 3), scores(made(), 3), scores(made(seed=2), 3)
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_a_training_draws_nothing_from_the_random_numbers_of_others() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    made()
    assert torch.equal(torch.rand(3), expected)


def test_it_keeps_what_it_learned_when_items_come(learned: SequenceTrainer) -> None:
    encoder = deepcopy(learned)
    for item in range(CYCLE, CYCLE + 5):
        encoder.know(item)
    before = {name: each.detach().clone() for name, each in moments(encoder).items()}
    encoder._grow()
    for name, each in moments(encoder).items():
        assert torch.equal(each[:CYCLE] if each.ndim else each, before[name])
    encoder.train()
    assert encoder.item_vectors().shape[0] == CYCLE + 5
    assert right(encoder) > 0.9


def test_an_item_that_comes_later_stands_where_one_with_its_text_began() -> None:
    encoder = made(texts=True)
    with torch.no_grad():
        encoder.network.items.own[4] = 0
    np.testing.assert_allclose(encoder.placed(np.eye(CYCLE)[4]), encoder.item_vectors()[4], rtol=1e-5)


def test_a_past_gives_the_same_vector_whatever_is_beside_it(learned: SequenceTrainer) -> None:
    one, other = past_of([(1, 0), (2, 5000)]), past_of([(3, 0), (4, 10), (5, 20)])
    together = learned.user_vectors([one, other])
    np.testing.assert_allclose(together[0], learned.user_vectors([one])[0], atol=1e-6)
    np.testing.assert_allclose(together[1], learned.user_vectors([other])[0], atol=1e-6)


def test_a_training_of_nothing_changes_nothing() -> None:
    encoder = SequenceTrainer(1)
    encoder.train()
    assert encoder.item_vectors().shape[0] == 0
