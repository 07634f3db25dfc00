from typing import Any

import pytest

from afresh.models.encoder import Options


@pytest.mark.parametrize(
    "chosen", [{}, {"device": "cuda:1"}, {"batch_tokens": 7}, {"threads": 1}, {"dtype": "bfloat16"}]
)
def test_what_gives_the_same_vectors_is_no_change(chosen: dict[str, Any]) -> None:
    assert Options(**chosen).changes() == {}


@pytest.mark.parametrize("chosen", [{"dimension": 8}, {"max_tokens": 64}, {"dtype": "int8"}])
def test_what_gives_other_vectors_is_a_change(chosen: dict[str, Any]) -> None:
    assert Options(**chosen).changes() == chosen
