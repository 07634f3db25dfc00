from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from afresh.deploy.evaluate import embeddings
from afresh.deploy.evaluate.embeddings import Texts
from afresh.models.arrays import Floats
from afresh.models.encoder import Options
from afresh.state.errors import AfreshError
from afresh.state.rows.content import content_hash


class FakeEncoder:
    """Encodes a text as its length, and records what it was asked."""

    asked: ClassVar[list[str]] = []

    @classmethod
    def load(cls, name: str, options: Options) -> FakeEncoder:
        return cls()

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeEncoder]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(FakeEncoder, "asked", [])
    monkeypatch.setattr(embeddings, "load", FakeEncoder.load)
    monkeypatch.setattr(embeddings, "version_of", lambda name, options: f"v-{name}")
    return FakeEncoder


def test_a_text_is_encoded_only_once(encoder: type[FakeEncoder]) -> None:
    first = Texts("mini", Options()).vectors(["a", "bb", "a", ""])
    assert first[content_hash("bb")].tolist() == [2.0, 1.0]
    again = Texts("mini", Options()).vectors(["bb", "ccc"])
    assert sorted(encoder.asked) == ["a", "bb", "ccc"]
    assert set(again) == {content_hash("bb"), content_hash("ccc")}


def test_texts_that_another_evaluation_cached_meanwhile_are_not_lost(encoder: type[FakeEncoder]) -> None:

    def meanwhile(_done: int, _total: int) -> None:
        Texts("mini", Options()).vectors(["bb"])

    Texts("mini", Options()).vectors(["a"], meanwhile)
    assert sorted(encoder.asked) == ["a", "bb"]
    Texts("mini", Options()).vectors(["a", "bb"])
    assert sorted(encoder.asked) == ["a", "bb"]


def test_each_encoder_has_its_own_cache(encoder: type[FakeEncoder]) -> None:
    Texts("mini", Options()).vectors(["a"])
    Texts("maxi", Options()).vectors(["a"])
    assert encoder.asked == ["a", "a"]


def test_a_damaged_cache_is_made_anew(encoder: type[FakeEncoder]) -> None:
    Texts("mini", Options()).vectors(["a"])
    (embeddings.cache_folder() / "v-mini.npz").write_bytes(b"half a file")
    assert Texts("mini", Options()).vectors(["a"])[content_hash("a")].tolist() == [1.0, 1.0]


def test_without_an_encoder_no_text_has_an_embedding(encoder: type[FakeEncoder]) -> None:
    assert Texts("none", Options()).vectors(["a"]) == {}
    assert encoder.asked == []


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(AfreshError, match="set XDG_CACHE_HOME"):
        Texts("mini", Options()).vectors(["a"])


def test_a_missing_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, options: Options) -> Any:
        raise ValueError(f"the encoder {name!r} is no folder")

    monkeypatch.setattr(embeddings, "version_of", missing)
    with pytest.raises(AfreshError, match="'mini' is no folder"):
        Texts("mini", Options())


def test_an_encoder_that_fails_at_a_text_is_named(
    encoder: type[FakeEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: FakeEncoder, texts: Sequence[str]) -> Any:
        raise ValueError("the encoder 'mini' gave a vector that is not finite")

    monkeypatch.setattr(encoder, "encode", fails)
    with pytest.raises(AfreshError, match="'mini' gave a vector"):
        Texts("mini", Options()).vectors(["a"])


def test_a_text_that_the_encoder_gives_no_finite_vector_of_has_none(
    encoder: type[FakeEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(_: FakeEncoder, texts: Sequence[str]) -> Floats:
        return np.array([[np.nan if text == "poison" else 1.0] for text in texts], np.float32)

    monkeypatch.setattr(encoder, "encode", poisoned)
    assert Texts("mini", Options()).vectors(["poison"]) == {}
    assert set(Texts("mini", Options()).vectors(["poison", "a"])) == {content_hash("a")}
