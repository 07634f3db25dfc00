"""Cuts texts into tokens, and pads the tokens of several texts to one length."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TokenIds = list[int]


class Tokens:
    """The tokenizer of a model.

    Parameters
    ----------
    tokenizer
        The tokenizer, as transformers loads it. What its folder asks for is done: special tokens before and behind.
    longest
        Number of tokens that are read of a text, at most.
    lower
        Whether texts are read in lower case.
    ended
        Whether the folder asks for the end-of-text token behind each text. transformers 5 does not read that, if the
        tokenizer's own file does not say so, too.
    """

    def __init__(self, tokenizer: Any, longest: int, *, lower: bool = False, ended: bool = False) -> None:
        self._tokenizer = tokenizer
        self._longest = longest
        self._lower = lower
        self._padding = tokenizer.pad_token_id or 0
        end = [tokenizer.eos_token_id]
        self._end: TokenIds = end if ended and tokenizer("")["input_ids"][-1:] != end else []
        # The tokenizer keeps how it cuts in itself, and does not let two threads change it.
        self._alone = Lock()

    def cut(self, texts: Sequence[str], prompt: str) -> list[TokenIds]:
        """Return the tokens of each text behind a prompt; none for a text that has no tokens of its own.

        Such a text would get the vector of the prompt and of the special tokens, and all such texts would be alike.
        """
        ids = self._ids([prompt + text for text in texts])
        nothing = len(self._ids([prompt])[0])
        return [
            each if text.strip() and len(each) > nothing else []
            for text, each in zip(texts, ids, strict=True)
        ]

    def of_prompt(self, prompt: str) -> int:
        """Return the number of tokens of a prompt, and of the special tokens before it."""
        ids = self._ids([prompt])[0]
        ends_in_special = bool(ids) and ids[-1] in self._tokenizer.all_special_ids
        return len(ids) - ends_in_special

    def _ids(self, texts: Sequence[str]) -> list[TokenIds]:
        read = [_clean(text.lower() if self._lower else text) for text in texts]
        with self._alone:
            cut = self._tokenizer(
                read,
                truncation=True,
                max_length=self._longest - len(self._end),
                return_attention_mask=False,
                return_token_type_ids=False,
            )
        return [[*ids, *self._end] for ids in cut["input_ids"]]

    def padded(self, ids: Sequence[TokenIds]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens and a mask of those that are no padding, each of shape (b, t).

        Padding stands behind. A decoder does not look ahead, so its tokens keep their positions and never see it.
        """
        import torch

        longest = max(map(len, ids))
        tokens = torch.tensor([[*each, *[self._padding] * (longest - len(each))] for each in ids])
        lengths = torch.tensor([len(each) for each in ids])
        return tokens, torch.arange(longest)[None, :] < lengths[:, None]


def _clean(text: str) -> str:
    """Replace lone surrogates, because tokenizers raise on them."""
    return text.encode("utf-8", "replace").decode("utf-8")
