from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import near_texts
from tests.benchmarks.near_texts import recall, table
from tests.benchmarks.text_indexes import INDEXES, embeddings


@pytest.mark.slow
def test_an_index_and_lists_are_measured_and_other_figures_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"20": {"another": {"recall": 0.5}}}))
    near_texts.main(["--items", "600", "--only", "exact", "--only", "our lists", "--results", str(file)])
    figures = json.loads(file.read_text())
    assert figures["20"] == {"another": {"recall": 0.5}}
    assert figures["600"]["exact"]["recall"] == figures["600"]["our lists"]["recall"] == 1
    assert figures["600"]["our lists"]["recall_replaced"] > 0.9


def test_the_table_leaves_empty_what_an_index_cannot_do() -> None:
    made = table({"20": {"one": {"recall": 0.98765, "remove_seconds": None}}})
    shown = {str(column.header): list(column.cells) for column in made.columns}
    assert shown["recall"] == ["0.9877"]
    assert shown["s for 100 gone"] == [""]


@pytest.mark.parametrize("name", INDEXES)
def test_every_index_finds_a_text_among_others_and_most_of_its_nearest(name: str) -> None:
    vectors, items = embeddings(400), np.arange(400)
    index = INDEXES[name](300)
    index.add(items[:300], vectors[:300])
    assert index.search(vectors[:20], 30).shape == (20, 30)
    assert recall(vectors, items[:300], lambda sample: index.search(vectors[sample], 31)) > 0.9


def test_an_index_takes_texts_out_and_others_in() -> None:
    vectors, items = embeddings(400), np.arange(400)
    for name in INDEXES:
        if name.startswith("faiss HNSW"):
            continue
        index = INDEXES[name](300)
        index.add(items[:300], vectors[:300])
        index.remove(items[:100])
        index.add(items[300:], vectors[300:])
        assert recall(vectors, items[100:], lambda sample: index.search(vectors[sample], 31)) > 0.9, name  # noqa: B023 - called at once


def test_what_is_not_found_and_what_is_not_near_do_not_count() -> None:
    vectors, items = embeddings(100), np.arange(100)
    cosines = vectors @ vectors.T
    order = np.argsort(-cosines, axis=1)
    assert recall(vectors, items, lambda sample: order[sample, :31].astype(np.int32)) == 1
    assert recall(vectors, items, lambda sample: order[sample, :16].astype(np.int32)) == 0.5
    assert recall(vectors, items, lambda sample: order[sample, -30:].astype(np.int32)) < 0.1


def test_embeddings_are_of_unit_length_and_near_in_themes() -> None:
    vectors = embeddings(2_000)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T - 2 * np.eye(2_000)
    assert 0.6 < np.median(cosines.max(axis=1)) < 0.95
    assert 0 < np.median(cosines) < 0.4
