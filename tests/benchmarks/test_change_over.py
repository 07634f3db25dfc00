from __future__ import annotations

import numpy as np
import pytest

from afresh.deploy.evaluate.embeddings import Texts, Vectors
from afresh.models.encoder import Options
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.rows.content import content_hash, text_for_encoder
from afresh.streams.messages import Item
from afresh.streams.settings import Settings
from tests.benchmarks.change_over import ChangingEngine, compare

ITEMS = [Item(id=name, domain="films", title=name) for name in ("one", "two", "three")]


def read(version: str, width: int) -> tuple[Texts, Vectors]:
    texts = Texts("none", Options())
    texts.name, texts.version = f"encoder-{version}", version
    words = [text_for_encoder(each.title, each.text, each.attributes) for each in ITEMS]
    return texts, {content_hash(text): np.eye(width, dtype=np.float16)[0] for text in words}


def encoders(catalogue: Catalogue) -> dict[str, int]:
    return {version: count for (_, version, _), count in catalogue.read_by.items()}


def test_all_items_known_change_over_at_once_and_later_ones_get_the_new_vectors_alone() -> None:
    engine = ChangingEngine(Settings(_env_file=None), [read("1", 4), read("2", 8)], change_at=100)
    engine.announce(ITEMS[:2], {})
    engine.taken_in(99)
    assert encoders(engine.catalogue) == {"1": 2}
    engine.taken_in(100)
    engine.announce(ITEMS[2:], {})
    assert encoders(engine.catalogue) == {"1": 2, "2": 3}
    engine.take_in([])
    assert engine.catalogue.encoder == "2"
    assert engine.catalogue.items().codes.shape[1] == 8


def test_a_window_is_compared_with_the_worse_of_the_two_encoders() -> None:
    before, after, changed = np.zeros(1_000), np.ones(1_000), np.zeros(1_000)
    changed[600:] = 1.0
    first, whole = compare(changed, before, after, 500)
    assert (first["events"], first["changed"], first["difference"]) == (
        500,
        pytest.approx(0.8),
        pytest.approx(0.8),
    )
    assert (whole["before"], whole["after"], whole["changed"]) == (0.0, 1.0, pytest.approx(0.8))
    assert whole["noise"] == pytest.approx(2 * np.sqrt(0.8 * 0.2 / 500))
