"""The encoder that runs a model of Hugging Face: BERT-like, a decoder LLM, or a folder of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from afresh.models.arrays import Floats
from afresh.models.encoder.base import Kind, unit
from afresh.models.encoder.batches import batches, threads_of
from afresh.models.encoder.files import ModelFiles
from afresh.models.encoder.model import be_quiet, load_model, load_tokenizer, looks_ahead, positions
from afresh.models.encoder.modules import head
from afresh.models.encoder.options import Options
from afresh.models.encoder.tokens import TokenIds, Tokens

if TYPE_CHECKING:
    import torch

CUT_AT_ONCE = 1024
"""Texts that are cut into tokens while those before them are encoded."""

BATCH_TOKENS = {"cpu": 1024, "cuda": 32_768}
"""Tokens of a batch, by the kind of device, if nothing else was chosen."""


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
        self._model, self.device = load_model(files, options)
        self._budget = options.batch_tokens or BATCH_TOKENS[self.device.type]
        self._lanes = _lanes(self.device, threads_of(options.threads))
        # One more than there are threads: it takes time of a processor from the others only while somebody waits.
        self._soon = _lanes(self.device, 1)
        self._tokens = _tokens(files, self._model, options)
        self._prompts = files.prompts()
        self._prompt_tokens = {kind: self._tokens.of_prompt(prompt) for kind, prompt in self._prompts.items()}
        self._head = head(files, "mean" if looks_ahead(self._model) else "lasttoken", self.device)
        own = self._vectors([[0]], 0).shape[1]
        self.dimension = options.dimension or own
        if self.dimension > own:
            raise ValueError(f"its vectors have {own} numbers, and {self.dimension} were asked for")

    def encode(self, texts: Sequence[str], kind: Kind = "document", *, soon: bool = False) -> Floats:
        """Encode texts, as every ``Encoder`` does."""
        lanes = self._soon if soon else self._lanes
        distinct = sorted(dict.fromkeys(texts), key=len, reverse=True)
        made = np.zeros((len(distinct), self.dimension), np.float32)
        under_way: list[tuple[Sequence[int], Future[Floats]]] = []
        try:
            for start in range(0, len(distinct), CUT_AT_ONCE):
                # The lanes work on what is cut already, meanwhile.
                ids = self._tokens.cut(distinct[start : start + CUT_AT_ONCE], self._prompts[kind])
                for batch in batches([len(each) for each in ids], self._budget):
                    task = lanes.submit(self._encoded, [ids[place] for place in batch], kind)
                    under_way.append(([start + place for place in batch], task))
            for places, task in under_way:
                made[places] = task.result()
        finally:
            for _, task in under_way:
                task.cancel()
        place_of = {text: place for place, text in enumerate(distinct)}
        return made[[place_of[text] for text in texts]]

    def _encoded(self, ids: Sequence[TokenIds], kind: Kind) -> Floats:
        """Return the unit vectors of a batch, shape (b, e); NaN for a text that has none.

        A batch that does not fit into the memory of a GPU is halved. So is one with a vector that is not finite: in
        int8, one such text spoils those beside it.
        """
        vectors = self._tried(ids, kind)
        if vectors is not None and np.isfinite(vectors).all():
            return unit(vectors[:, : self.dimension])
        if len(ids) == 1:
            return np.full((1, self.dimension), np.nan, np.float32)
        half = len(ids) // 2
        return np.concatenate([self._encoded(ids[:half], kind), self._encoded(ids[half:], kind)])

    def _tried(self, ids: Sequence[TokenIds], kind: Kind) -> Floats | None:
        import torch

        try:
            return self._vectors(ids, self._prompt_tokens[kind])
        except torch.cuda.OutOfMemoryError:
            return None

    def _vectors(self, ids: Sequence[TokenIds], prompt: int) -> Floats:
        """Return the vectors of texts that are cut into tokens, as the model gives them: float32, shape (b, e)."""
        import torch

        tokens, present = (each.to(self.device) for each in self._tokens.padded(ids))
        with torch.inference_mode():
            hidden: Any = self._model(input_ids=tokens, attention_mask=present.long()).last_hidden_state
            vectors: Floats = self._head(hidden.float(), present, prompt).cpu().numpy()
        return vectors


def _tokens(files: ModelFiles, model: Any, options: Options) -> Tokens:
    """Load the tokenizer. A text is as long as tokenizer, positions, sentence-transformers folder and options allow."""
    tokenizer = load_tokenizer(files)
    told = files.read("sentence_bert_config.json")
    limits = [tokenizer.model_max_length, positions(model), told.get("max_seq_length"), options.max_tokens]
    return Tokens(
        tokenizer,
        min(limit for limit in limits if limit),
        lower=bool(told.get("do_lower_case")),
        ended=bool(files.read("tokenizer_config.json").get("add_eos_token")),
    )


def _lanes(device: torch.device, threads: int) -> ThreadPoolExecutor:
    """Return threads that work on a batch each: one for a GPU.

    On a CPU, two batches on a core each are done sooner than one after the other on two cores, which would wait for
    each other.
    """
    import torch

    if device.type == "cpu":
        return ThreadPoolExecutor(threads, "encoder", lambda: torch.set_num_threads(1))
    return ThreadPoolExecutor(1, "encoder")
