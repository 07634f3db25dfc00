"""Rows and lists over real servers: a dislike is lifted, and the audit finds rounded likenesses as a worker did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afresh.deploy.demo.scrape import Page
from afresh.deploy.ledger import audit
from afresh.state.rows import content
from afresh.state.rows.content import text_for_encoder
from afresh.streams.messages import Embedding, encode
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait

WAIT_SECONDS = 180.0
LATE = ["late 0", "late 1"]
NEAR = 8
"""Number of items whose cosine with a late item lies where the last bits decide its rounding."""


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    changed = {"list_refresh_seconds": 0.3, "leave_out": {"*": "nothing"}, "list_size": 30}
    with deployment(settings.model_copy(update=changed), tmp_path) as opened:
        yield opened


def test_lists_are_right_after_a_dislike_was_lifted_and_texts_came_one_by_one(made: Deployment) -> None:
    vectors = on_the_border()
    with made.running(made.process()) as page:
        for name in vectors:
            made.item(name)
        wait(lambda: (popular := made.popular()) and len(popular.items) == len(vectors), "all items")
        early = [name for name in vectors if name not in LATE]
        for name in early:
            embed(made, name, vectors[name])
            made.event(f"fan of {name}", name)
        texts_are_in_the_lists(made, page, len(early), early[0])
        for count, name in enumerate(LATE, len(early) + 1):
            embed(made, name, vectors[name])
            texts_are_in_the_lists(made, page, count, early[0])
        dislikes_are_lifted(made, early)
        report = audit(made.settings, wait_seconds=WAIT_SECONDS)
    assert report.differences == []
    assert report.tallies["lists"].equal == len(early) + 2


def dislikes_are_lifted(made: Deployment, items: list[str]) -> None:
    """Let two users dislike an item and take it back; it is in lists again, because they may hold what was taken."""
    for kind in ("like", "purchase"):
        user = f"{kind}r"
        made.answer(user, made.event(user, items[0]))
        listed = made.answer(user, made.event(user, items[1], type="dislike")).items
        assert items[1] not in {each.id for each in listed}
        listed = made.answer(user, made.event(user, items[1])).items
        assert items[1] not in {each.id for each in listed}, "a view is no change of mind"
        listed = made.answer(user, made.event(user, items[1], type=kind)).items
        assert items[1] in {each.id for each in listed}


def embed(made: Deployment, name: str, vector: np.ndarray) -> None:
    """Send an embedding as an embed worker does."""
    of_text = content.content_hash(text_for_encoder(name, "", {}))
    made.send(made.topics.embeddings, name, encode(Embedding(name, of_text, "minilm", "1", vector.tobytes())))


def texts_are_in_the_lists(made: Deployment, page: Page, texts: int, viewed: str) -> None:
    """Wait until the worker knows so many texts, and has made a list from them."""
    wait(lambda: page.read().total("afresh_catalogue_embedded_items") == texts, f"{texts} texts")
    user = f"fan of {viewed}"
    made.answer(user, made.event(user, viewed))


def on_the_border() -> dict[str, np.ndarray]:
    """Return embeddings, unit vectors of 16 bits; each late item has cosines at the border of rounding with others."""
    random = np.random.default_rng(7)
    drawn = random.normal(size=(20_000, 64)) + random.normal(size=64)
    pool = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("<f2")
    exact = pool.astype(np.float64)
    vectors = {}
    for place in range(len(LATE)):
        distance = np.abs(exact @ exact[place] * 10_000 % 1 - 0.5)
        for near in np.argsort(distance)[:NEAR]:
            vectors[f"near {near}"] = pool[near]
    return vectors | {name: pool[place] for place, name in enumerate(LATE)}
