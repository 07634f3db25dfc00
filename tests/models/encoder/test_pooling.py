from __future__ import annotations

import pytest

from afresh.models.encoder.pooling import modes_of, pool


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        ({}, []),
        ({"pooling_mode": "lasttoken"}, ["lasttoken"]),
        ({"pooling_mode": ["cls", "mean"]}, ["cls", "mean"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ["cls", "mean"]),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}, ["lasttoken"]),
    ],
)
def test_modes_are_read_from_newer_and_older_configurations(
    config: dict[str, object], modes: list[str]
) -> None:
    assert modes_of(config) == modes


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="its pooling 'attention' is not one of cls, lasttoken, max"):
        modes_of({"pooling_mode": "attention"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "vectors"),
    [
        ("cls", [[1.0], [5.0]]),
        ("lasttoken", [[3.0], [5.0]]),
        ("max", [[3.0], [5.0]]),
        ("mean", [[2.0], [5.0]]),
        ("mean_sqrt_len_tokens", [[4 / 2**0.5], [5.0]]),
        ("weightedmean", [[7 / 3], [5.0]]),
    ],
)
def test_padding_does_not_count_even_where_it_is_no_number(mode: str, vectors: list[list[float]]) -> None:
    import torch

    nan = float("nan")
    hidden = torch.tensor([[[1.0], [3.0], [nan]], [[5.0], [nan], [nan]]])
    present = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(pool(hidden, present, mode), torch.tensor(vectors))
