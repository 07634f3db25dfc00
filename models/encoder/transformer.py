"""The encoder that runs a model of Hugging Face: BERT-like, a decoder LLM, or a folder of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from afresh.models.arrays import Floats
from afresh.models.encoder.base import Kind, unit
from afresh.models.encoder.files import ModelFiles
from afresh.models.encoder.model import be_quiet, load_model, load_tokenizer, looks_ahead, positions
from afresh.models.encoder.modules import head
from afresh.models.encoder.options import Options
from afresh.models.encoder.tokens import TokenIds, Tokens


class TransformerEncoder:
    """An ``Encoder`` that runs a model of Hugging Face.

    In float32, a text gives the same vector up to 1e-5, whatever else is in its batch.

    Parameters
    ----------
    name
        Name by which it was asked for.
    files
        The files of the model.
    options
        How it is run.

    Attributes
    ----------
    name, version, dimension
        As of every ``Encoder``.
    device
        Device that it runs on.
    """

    def __init__(self, name: str, files: ModelFiles, options: Options) -> None:
        be_quiet()
        self.name = name
        self.version = files.version(options.changes())
        self._batch = options.batch
        self._model, self.device = load_model(files, options)
        tokenizer = load_tokenizer(files)
        told = files.read("sentence_bert_config.json")
        limits = [
            tokenizer.model_max_length,
            positions(self._model),
            told.get("max_seq_length"),
            options.max_tokens,
        ]
        longest = min(limit for limit in limits if limit)
        self._tokens = Tokens(tokenizer, longest, bool(told.get("do_lower_case")))
        self._prompts = files.prompts()
        self._head = head(files, "mean" if looks_ahead(self._model) else "lasttoken", self.device)
        own = self._vectors([[0]], 0).shape[1]
        self.dimension = options.dimension or own
        if self.dimension > own:
            raise ValueError(f"its vectors have {own} numbers, and {self.dimension} were asked for")

    def encode(self, texts: Sequence[str], kind: Kind = "document") -> Floats:
        """Encode texts, as every ``Encoder`` does."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if not texts:
            return vectors
        prompt = self._prompts[kind]
        ids = self._tokens.cut(texts, prompt)
        lengths = np.array([len(each) for each in ids])
        by_length = np.argsort(lengths, kind="stable")
        with_tokens = by_length[lengths[by_length] > 0]
        for start in range(0, len(with_tokens), self._batch):
            batch = with_tokens[start : start + self._batch]
            of_batch = self._vectors([ids[each] for each in batch], self._tokens.of_prompt(prompt))
            vectors[batch] = unit(of_batch[:, : self.dimension])
        if not np.isfinite(vectors).all():
            raise ValueError(f"the encoder {self.name!r} gave a vector that is not finite")
        return vectors

    def _vectors(self, ids: Sequence[TokenIds], prompt: int) -> Floats:
        """Return the vectors of texts that are cut into tokens, as the model gives them: float32, shape (b, e)."""
        import torch

        tokens, present = (each.to(self.device) for each in self._tokens.padded(ids))
        with torch.inference_mode():
            hidden: Any = self._model(input_ids=tokens, attention_mask=present.long()).last_hidden_state
            vectors: Floats = self._head(hidden.float(), present, prompt).cpu().numpy()
        return vectors
