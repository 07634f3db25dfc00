import random

import msgspec
import pytest

from afresh.streams.messages import event_decoder
from tests.chaos.load import poison


def test_poison_is_never_a_valid_event() -> None:
    chance = random.Random(1)
    for _ in range(500):
        value = poison(chance)
        if value is None or len(value) > 65_536:
            continue
        try:
            event = event_decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        assert event.version != 1 or event.time == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_poison_is_a_function_of_the_seed(seed: int) -> None:
    assert [poison(random.Random(seed)) for _ in range(20)] == [
        poison(random.Random(seed)) for _ in range(20)
    ]
