from __future__ import annotations

import pytest
import torch
from torch import Tensor

from afresh.models.sequence.network import WIDTH, SequenceNetwork
from afresh.models.sequence.pasts import Padded, padded, past_of

TEXTS = torch.eye(10, 6)


@pytest.fixture
def network() -> SequenceNetwork:
    """A network that knows ten items, the first six with a text, and in which no number is at its start."""
    torch.manual_seed(1)
    made = SequenceNetwork()
    made.items.grow(TEXTS, torch.arange(10) < 6)
    for each in made.parameters():
        torch.nn.init.normal_(each, 0, 0.2)
    return made.eval()


def users(network: SequenceNetwork, laid: Padded) -> Tensor:
    with torch.inference_mode():
        made: Tensor = network(torch.from_numpy(laid.items).long(), torch.from_numpy(laid.gaps).int())
    return made


TAKEN = [(3, 0), (9, 5_000), (0, 60_000), (3, 86_400_000)]


def test_there_is_a_vector_of_the_user_behind_each_place(network: SequenceNetwork) -> None:
    assert users(network, padded([past_of(TAKEN)] * 3, 7)).shape == (3, 7, WIDTH)


def test_a_later_event_changes_nothing_before_it(network: SequenceNetwork) -> None:
    before = users(network, padded([past_of(TAKEN[:3])], 3))
    after = users(network, padded([past_of(TAKEN)], 4))
    torch.testing.assert_close(after[:, :3], before)


def test_padding_changes_nothing(network: SequenceNetwork) -> None:
    alone = users(network, padded([past_of(TAKEN)], 4))
    beside = users(network, padded([past_of(TAKEN), past_of(TAKEN[:1])], 9))
    torch.testing.assert_close(beside[:1, :4], alone)


def test_it_reads_items_their_order_and_the_time_between_them(network: SequenceNetwork) -> None:
    last = users(network, padded([past_of(TAKEN)], 4))[0, -1]
    for other in (
        [(4, 0), *TAKEN[1:]],
        [(9, 0), (3, 5_000), *TAKEN[2:]],
        [(3, 0), (9, 500_000), (0, 600_000), (3, 86_400_000)],
    ):
        assert not torch.allclose(users(network, padded([past_of(other)], 4))[0, -1], last, atol=1e-4)


def test_only_the_time_between_events_counts_and_not_when_they_were(network: SequenceNetwork) -> None:
    later = past_of([(item, time + 10**12) for item, time in TAKEN])
    torch.testing.assert_close(
        users(network, padded([later], 4)), users(network, padded([past_of(TAKEN)], 4))
    )


def test_a_new_item_stands_where_its_text_puts_it_and_one_without_at_random(network: SequenceNetwork) -> None:
    own = network.items.own.detach().clone()
    texts = torch.cat([TEXTS, torch.tensor([[0.6, 0.8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])])
    network.items.grow(texts, torch.tensor([True] * 6 + [False] * 4 + [True, False]))
    with torch.inference_mode():
        torch.testing.assert_close(network.items(torch.tensor([10])), network.items.placed(texts[10:11]))
    assert torch.equal(network.items.own[:10], own)
    assert network.items.own[10].count_nonzero() == 0
    assert network.items.own[11].count_nonzero() == WIDTH


def test_items_have_unit_vectors_and_users_those_of_one_length(network: SequenceNetwork) -> None:
    lengths = users(network, padded([past_of(TAKEN)], 4)).norm(dim=-1)
    torch.testing.assert_close(lengths, network.log_scale.exp().expand_as(lengths))
    torch.testing.assert_close(network.items(torch.arange(10)).norm(dim=-1), torch.ones(10))


def test_without_any_text_items_have_the_direction_of_their_own_vectors() -> None:
    made = SequenceNetwork()
    made.items.grow(torch.zeros(3, 0), torch.zeros(3, dtype=torch.bool))
    cosines = torch.cosine_similarity(made.items(torch.arange(3)), made.items.own)
    torch.testing.assert_close(cosines, torch.ones(3))
