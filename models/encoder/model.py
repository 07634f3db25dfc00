"""Loads a model of Hugging Face for inference: on a device, in a type of numbers, without running code of its own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from afresh.models.encoder.files import ModelFiles
from afresh.models.encoder.options import Dtype, Options

if TYPE_CHECKING:
    import torch


def be_quiet() -> None:
    """Keep progress bars and advice out of a worker's log."""
    from transformers.utils import logging

    untyped: Any = logging
    untyped.disable_progress_bar()
    untyped.set_verbosity_error()


def load_tokenizer(files: ModelFiles) -> Any:
    """Load the tokenizer of a model."""
    from transformers import AutoTokenizer

    untyped: Any = AutoTokenizer
    return untyped.from_pretrained(files.folder, trust_remote_code=False, **_gguf(files))


def load_model(files: ModelFiles, options: Options) -> tuple[Any, torch.device]:
    """Load a model, ready for inference; return it with the device that it is on.

    Raises
    ------
    ValueError
        The device is not there or cannot compute with such numbers, or the file lacks weights.
    """
    import torch
    from transformers import AutoModel

    device = _device(options.device)
    dtype = _dtype(options.dtype, device)
    model, report = AutoModel.from_pretrained(
        files.folder,
        dtype=torch.float32 if dtype is torch.qint8 else dtype,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **_gguf(files),
    )
    # Weights that the file lacks would be random, different in every process. The pooler is not used.
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    if missing:
        raise ValueError(f"its file lacks {len(missing)} weights, {min(missing)!r} first")
    return (_quantised(model.eval()) if dtype is torch.qint8 else model.eval().to(device)), device


def _gguf(files: ModelFiles) -> dict[str, str]:
    return {"gguf_file": files.gguf} if files.gguf else {}


def _device(asked: str) -> torch.device:
    import torch

    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if asked != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"there is no {asked!r}: PyTorch finds no CUDA device here")
    return torch.device(asked)


def _dtype(asked: Dtype, device: torch.device) -> torch.dtype:
    import torch

    if asked == "int8":
        if device.type != "cpu":
            raise ValueError("int8 is for CPUs; choose another dtype, or the device cpu")
        return torch.qint8
    if asked == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    named: torch.dtype = getattr(torch, asked)
    return named


def _quantised(model: torch.nn.Module) -> torch.nn.Module:
    """Keep the weights of linear layers in int8, with a scale for each output; inputs are quantised as they come."""
    import torch

    untyped: Any = torch.ao.quantization
    with warnings.catch_warnings():
        # PyTorch means to move this function to another package.
        warnings.simplefilter("ignore")
        quantised: torch.nn.Module = untyped.quantize_dynamic(
            model, {torch.nn.Linear: untyped.per_channel_dynamic_qconfig}
        )
    return quantised


def positions(model: torch.nn.Module) -> int | None:
    """Return for how many tokens a model has positions; None if it does not say."""
    import torch

    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa begins to count behind the position of padding.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    config: Any = model.config
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit


def looks_ahead(model: torch.nn.Module) -> bool:
    """Whether tokens see those behind them; those of a decoder do not, so that only the last one has seen the text."""
    return not any(getattr(module, "is_causal", False) for module in model.modules())
