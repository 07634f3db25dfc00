from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from afresh.models.sequence import loss
from afresh.models.sequence.loss import Sample, among_all, among_sample, draw


def made(seed: int, items: int, users: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors of users and items, and what was taken."""
    source = torch.Generator().manual_seed(seed)
    people, things = (torch.randn(count, 4, generator=source) for count in (users, items))
    return people, things, torch.randint(items, (users,), generator=source)


@given(st.integers(0, 1000), st.integers(2, 40))
def test_a_sample_of_all_items_gives_the_loss_of_the_full_softmax(seed: int, items: int) -> None:
    users, vectors, wanted = made(seed, items)
    everything = Sample(torch.arange(items), torch.ones(items))
    estimated = among_sample(users, vectors.__getitem__, wanted, everything)
    assert estimated.item() == pytest.approx(among_all(users, vectors, wanted).item(), rel=1e-5, abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 300))
def test_in_parts_the_loss_is_that_of_all_at_once(seed: int, at_once: int) -> None:
    users, vectors, wanted = made(seed, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "AT_ONCE", at_once)
        parts = among_all(users, vectors, wanted)
    assert parts.item() == pytest.approx(among_all(users, vectors, wanted).item(), rel=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_the_sum_over_a_sample_is_that_over_all_items_in_expectation(seed: int) -> None:
    user, vectors, wanted = made(seed, 30, users=1)
    # In-batch items are drawn by how often they are taken, so that some are in most samples and some in few.
    batch = torch.tensor([0, 0, 0, 1, 2, 2, int(wanted)])
    own = (user * vectors[wanted]).sum()

    def total(mean: Tensor) -> Tensor:
        return (mean + own).exp()

    torch.manual_seed(seed)
    samples = [draw(64, batch, 30) for _ in range(400)]
    sums = torch.stack([total(among_sample(user, vectors.__getitem__, wanted, each)) for each in samples])
    error = 5 * sums.std() / len(sums) ** 0.5
    assert abs(sums.mean() - total(among_all(user, vectors, wanted))) < error + 1e-3


def test_what_is_sampled_is_expected_as_often_as_it_comes() -> None:
    torch.manual_seed(1)
    wanted = torch.tensor([3, 3, 7])
    samples = [draw(100, wanted, 10) for _ in range(300)]
    often = torch.stack([torch.bincount(each.items, minlength=10) for each in samples]).float().mean(0)
    for each in samples[:20]:
        assert torch.allclose(each.expected, often[each.items], rtol=0.1)
