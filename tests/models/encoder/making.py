"""Tiny models with random weights, saved in folders as their makers save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from afresh.models.arrays import Floats

WORDS = ["toy", "story", "babe", "war", "film", "children", "a", "b", "c", "query:", "passage:"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["toy story", "", "war film", "a b c " * 20, "babe", "😀", "children film war toy", " \t\n"]
WITH_TOKENS = [text for text in TEXTS if text.strip()]

SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}

Save = Callable[[Path], Path]


def save_tokenizer(folder: Path, *, first: str = "[CLS]", last: str = "[SEP]", **told: Any) -> None:
    """Save a tokenizer of whole words; ``first`` and ``last`` stand around each text unless they are empty."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    made: Any = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    around = [(each, vocabulary[each]) for each in (first, last) if each]
    made.post_processor = processors.TemplateProcessing(
        single=" ".join(part for part in (first, "$A", last) if part), special_tokens=around
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    untyped: Any = PreTrainedTokenizerFast
    untyped(tokenizer_object=made, **(names | {"model_max_length": 512} | told)).save_pretrained(folder)


def save_model(folder: Path, architecture: str, seed: int = 0, **config: Any) -> Path:
    """Save a random model: ``Bert``, ``XLMRoberta``, ``Qwen3`` ..."""
    import torch
    import transformers

    untyped: Any = transformers
    torch.manual_seed(seed)
    made = getattr(untyped, f"{architecture}Config")(**(SIZES | config))
    getattr(untyped, f"{architecture}Model")(made).save_pretrained(folder)
    return folder


def bert(folder: Path, seed: int = 0) -> Path:
    """Save a BERT with 32 positions."""
    save_tokenizer(folder)
    return save_model(folder, "Bert", seed, max_position_embeddings=32, initializer_range=1.0)


def roberta(folder: Path) -> Path:
    """Save an XLM-RoBERTa: of 32 positions, the first belongs to padding."""
    save_tokenizer(folder, model_max_length=31)
    return save_model(
        folder,
        "XLMRoberta",
        max_position_embeddings=32,
        pad_token_id=0,
        initializer_range=1.0,
        type_vocab_size=1,
    )


def decoder(folder: Path, architecture: str) -> Path:
    """Save a decoder LLM whose tokenizer puts a last token behind each text."""
    save_tokenizer(folder, first="")
    return save_model(
        folder,
        architecture,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.5,
    )


def qwen3(folder: Path) -> Path:
    """Save what Qwen3-Embedding is."""
    return decoder(folder, "Qwen3")


def mistral(folder: Path) -> Path:
    """Save what E5-Mistral is."""
    return decoder(folder, "Mistral")


def llama(folder: Path) -> Path:
    """Save a Llama."""
    return decoder(folder, "Llama")


def assert_alike(ours: Floats, theirs: Floats, error: float = 1e-5) -> None:
    """Check that vectors point in the same direction, by their cosine."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ours.shape == theirs.shape
    assert (1 - (ours * theirs).sum(1) / norms).max() < error


def gguf(file: Path) -> Path:
    """Save a Llama as llama.cpp keeps it; its tokens are letters, spaces and a few words."""
    from gguf import GGUFWriter

    rng = np.random.default_rng(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz", "Ġ"]
    tokens = ["<|end|>", *letters, "to", "toy"]
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["t o", "to y"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    shapes = {"token_embd": (len(tokens), 16), "output_norm": (16,), "blk.0.attn_norm": (16,)}
    shapes |= {f"blk.0.attn_{name}": (16, 16) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_norm": (16,), "blk.0.ffn_gate": (32, 16), "blk.0.ffn_up": (32, 16)}
    shapes |= {"blk.0.ffn_down": (16, 32)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
