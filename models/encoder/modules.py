"""What comes behind a model's tokens: the modules of a sentence-transformers folder, as one function."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afresh.models.encoder.files import ModelFiles
from afresh.models.encoder.pooling import modes_of, pool

if TYPE_CHECKING:
    import torch

Layer = Callable[["torch.Tensor"], "torch.Tensor"]
"""Makes vectors of texts from vectors of texts: shape (b, e) to (b, e')."""

POOLING = "1_Pooling"
"""Folder of the pooling, where a model has no ``modules.json``."""

WEIGHTS = "model.safetensors"

ACTIVATIONS = ("GELU", "Identity", "LeakyReLU", "Mish", "ReLU", "Sigmoid", "SiLU", "Softplus", "Tanh")
"""Functions behind a dense layer: those of ``torch.nn`` that need no parameters. No other code of a folder is run."""


@dataclass(frozen=True)
class Head:
    """Turns vectors of tokens into vectors of texts.

    Attributes
    ----------
    modes
        How tokens are pooled; the vectors of several modes are joined.
    with_prompt
        Whether the tokens of the prompt count.
    layers
        What follows.
    """

    modes: Sequence[str]
    with_prompt: bool
    layers: Sequence[Layer]

    def __call__(self, hidden: torch.Tensor, present: torch.Tensor, prompt: int) -> torch.Tensor:
        """Return vectors of texts, not of unit length yet.

        Parameters
        ----------
        hidden
            Vectors of tokens, float32, shape (b, t, e).
        present
            Which tokens are no padding, shape (b, t).
        prompt
            Number of tokens of the prompt, which each text begins with.

        Returns
        -------
        float32, shape (b, e').
        """
        import torch

        if not self.with_prompt:
            present = present.clone()
            present[:, :prompt] = False
        vectors = torch.cat([pool(hidden, present, mode) for mode in self.modes], dim=1)
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors


def head(files: ModelFiles, usual: str, device: torch.device) -> Head:
    """Read the modules of a folder; without any, tokens are pooled in the ``usual`` mode.

    Raises
    ------
    ValueError
        The folder asks for what is not known here.
    """
    # Older modules say sentence_transformers.models.Dense, newer ones sentence_transformers.base.modules.dense.Dense.
    named = [(each["type"].rpartition(".")[2], each["path"]) for each in files.modules()]
    behind = [each for each in named if each[0] not in ("Transformer", "Pooling")]
    pooling = files.read(f"{dict(named).get('Pooling', POOLING)}/config.json")
    return Head(
        modes_of(pooling) or [usual],
        pooling.get("include_prompt", True),
        [_layer(kind, path, files, device) for kind, path in behind],
    )


def _layer(kind: str, path: str, files: ModelFiles, device: torch.device) -> Layer:
    from torch import nn

    config = files.read(f"{path}/config.json")
    match kind:
        case "Normalize":
            return lambda vectors: nn.functional.normalize(vectors, dim=1)
        case "Dropout":
            return lambda vectors: vectors
        case "LayerNorm":
            return _filled(
                nn.Sequential(OrderedDict(norm=nn.LayerNorm(config["dimension"]))), path, files, device
            )
        case "Dense" if not config.get("use_residual"):
            return _filled(_dense(config), path, files, device)
    raise ValueError(
        f"its module {kind!r} is not known; known are Dense, Dropout, LayerNorm, Normalize, Pooling"
    )


def _dense(config: dict[str, Any]) -> torch.nn.Module:
    from torch import nn

    linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise ValueError(f"its activation {activation!r} is not known; known are {', '.join(ACTIVATIONS)}")
    return nn.Sequential(OrderedDict(linear=linear, activation=getattr(nn, activation)()))


def _filled(module: torch.nn.Module, path: str, files: ModelFiles, device: torch.device) -> Layer:
    from safetensors.torch import load_file

    file = files.folder / path / WEIGHTS
    if not file.is_file():
        raise ValueError(f"there is no {path}/{WEIGHTS}")
    module.load_state_dict(load_file(file))
    return module.float().eval().to(device)
