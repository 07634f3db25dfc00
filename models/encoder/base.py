"""What every encoder of texts does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from afresh.models.arrays import Floats

Kind = Literal["document", "query"]
"""What a text is: an item's, or what somebody looks for. A model may want another prompt before each."""


class Encoder(Protocol):
    """Turns texts into unit vectors; ``models.encoder.load`` makes one."""

    @property
    def name(self) -> str:
        """Name by which it was loaded."""

    @property
    def version(self) -> str:
        """Hash of all that its vectors depend on, 12 hexadecimal digits; two of one version give the same vectors."""

    @property
    def dimension(self) -> int:
        """Length e of a vector."""

    def encode(self, texts: Sequence[str], kind: Kind = "document", *, soon: bool = False) -> Floats:
        """Encode texts, equal ones once; each is cut at the longest that the model reads. Any thread may call it.

        Parameters
        ----------
        texts, kind
            The texts, and what they are.
        soon
            Whether somebody waits for them: they are read beside those of other calls, not behind them.

        Returns
        -------
        One unit vector for each text, float32, shape (n, e); zeros for a text without tokens (empty, only spaces), and
        NaN for one that the model gives no finite vector of.
        """


def unit(vectors: Floats) -> Floats:
    """Return vectors at unit length, shape (n, e); zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
