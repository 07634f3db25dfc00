"""Makes one vector of a text from the vectors of its tokens.

As in Sentence-BERT (Reimers & Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", EMNLP 2019)
and SGPT (Muennighoff, "SGPT: GPT Sentence Embeddings for Semantic Search", 2022). Modes have their names from
sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OLDER = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The modes as sentence-transformers named them until 5.0, in the order in which it joins their vectors."""


def modes_of(config: Mapping[str, Any]) -> list[str]:
    """Return which modes a configuration of sentence-transformers asks for; none if it does not say.

    Raises
    ------
    ValueError
        It asks for an unknown one.

    Examples
    --------
    >>> modes_of({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    ['cls']
    """
    asked = config.get("pooling_mode") or [mode for name, mode in OLDER.items() if config.get(name)]
    modes = [asked] if isinstance(asked, str) else list(asked)
    if unknown := set(modes) - set(OLDER.values()):
        raise ValueError(f"its pooling {min(unknown)!r} is not one of {', '.join(sorted(OLDER.values()))}")
    return modes


def pool(hidden: torch.Tensor, present: torch.Tensor, mode: str) -> torch.Tensor:
    """Pool the vectors of tokens into vectors of texts.

    Parameters
    ----------
    hidden
        Vectors of tokens, shape (b, t, e).
    present
        Which tokens count, shape (b, t); at least one of each text. Behind the last there is only padding.
    mode
        One of the values of ``OLDER``.

    Returns
    -------
    Shape (b, e).
    """
    import torch

    counted = present.unsqueeze(-1)
    match mode:
        case "cls":
            return _at(hidden, present.int().argmax(1))
        case "lasttoken":
            places = torch.arange(present.shape[1], device=present.device)
            return _at(hidden, (places * present).argmax(1))
        case "max":
            return hidden.masked_fill(~counted, float("-inf")).amax(1)
        case "mean_sqrt_len_tokens":
            return hidden.masked_fill(~counted, 0.0).sum(1) / counted.sum(1).sqrt()
    weights = counted.to(hidden.dtype)
    if mode == "weightedmean":
        weights = weights * torch.arange(1, hidden.shape[1] + 1, device=hidden.device).view(1, -1, 1)
    return (hidden.masked_fill(~counted, 0.0) * weights).sum(1) / weights.sum(1)


def _at(hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return hidden.gather(1, places.view(-1, 1, 1).expand(-1, -1, hidden.shape[2])).squeeze(1)
