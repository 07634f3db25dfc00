"""What may be chosen of an encoder besides its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class Options:
    """How a model is run.

    Attributes
    ----------
    device
        ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: CUDA where present.
    dtype
        Type of the numbers that it computes with, or ``auto``: bfloat16 on CUDA, float32 on a CPU. ``int8`` is for
        CPUs.
    dimension
        Length that vectors are cut to, for models that were trained for it (Kusupati et al., "Matryoshka
        Representation Learning", NeurIPS 2022); None: the model's own.
    max_tokens
        Tokens that are read of a text, prompt included; None: as many as the model reads.
    batch_tokens
        Tokens of a batch with its padding, at most; None: 1,024 on a CPU, whose caches hold no more, 32,768 on CUDA.
    threads
        CPU threads that it runs on; None: all cores of the process but one.

    Examples
    --------
    >>> Options(dimension=256, device="cpu").changes()
    {'dimension': 256}
    """

    device: str = "auto"
    dtype: Dtype = "auto"
    dimension: int | None = None
    max_tokens: int | None = None
    batch_tokens: int | None = None
    threads: int | None = None

    def changes(self) -> dict[str, int | str]:
        """Return what gives other vectors than the model alone would; empty as long as nothing was chosen.

        Vectors of all widths of floats are taken to be the same: they differ by less than 1e-3 in cosine, and a CPU and
        a GPU may share the work.
        """
        chosen: dict[str, int | str | None] = {
            "dimension": self.dimension,
            "dtype": self.dtype if self.dtype == "int8" else None,
            "max_tokens": self.max_tokens,
        }
        return {name: value for name, value in chosen.items() if value is not None}
