from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afresh.models.encoder.tokens import Tokens
from tests.models.encoder.making import SPECIAL, WORDS, save_tokenizer

pytestmark = pytest.mark.slow

PLACES = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}


def tokens_of(
    folder: Path, longest: int = 8, *, lower: bool = False, ended: bool = False, **told: Any
) -> Tokens:
    from transformers import AutoTokenizer

    save_tokenizer(folder, **told)
    untyped: Any = AutoTokenizer
    return Tokens(untyped.from_pretrained(folder), longest, lower=lower, ended=ended)


def ids(*words: str) -> list[int]:
    return [PLACES[word] for word in words]


def test_a_text_is_cut_by_tokens_and_keeps_its_special_ones(tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path, longest=4)
    assert tokens.cut(["toy story war film", "b"], "") == [
        ids("[CLS]", "toy", "story", "[SEP]"),
        ids("[CLS]", "b", "[SEP]"),
    ]


def test_a_text_without_tokens_of_its_own_has_none(tmp_path: Path) -> None:
    assert tokens_of(tmp_path).cut(["", " \n", "b"], "query: ") == [
        [],
        [],
        ids("[CLS]", "query:", "b", "[SEP]"),
    ]


def test_the_tokens_of_a_prompt_count_the_special_ones_before_it_alone(tmp_path: Path) -> None:
    assert tokens_of(tmp_path / "both").of_prompt("query: ") == 2
    assert tokens_of(tmp_path / "last", first="").of_prompt("query: ") == 1
    assert tokens_of(tmp_path / "none", first="", last="").of_prompt("query: ") == 1


@pytest.mark.parametrize("last", ["", "[SEP]"])
def test_a_text_ends_once_in_the_token_that_the_folder_asks_for(tmp_path: Path, last: str) -> None:
    tokens = tokens_of(tmp_path, longest=3, ended=True, first="", last=last, eos_token="[SEP]")
    assert tokens.cut(["toy story war", "toy", ""], "") == [
        ids("toy", "story", "[SEP]"),
        ids("toy", "[SEP]"),
        [],
    ]


def test_texts_are_read_in_lower_case_if_the_model_wants_it(tmp_path: Path) -> None:
    assert tokens_of(tmp_path, lower=True).cut(["TOY"], "") == [ids("[CLS]", "toy", "[SEP]")]


def test_padding_stands_behind_and_is_masked(tmp_path: Path) -> None:
    padded, present = tokens_of(tmp_path).padded([[5, 6, 7], [8]])
    assert padded.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert present.tolist() == [[True, True, True], [True, False, False]]


def test_a_tokenizer_without_a_padding_token_will_do(tmp_path: Path) -> None:
    padded, _ = tokens_of(tmp_path, pad_token=None).padded([[5, 6], [8]])
    assert padded.tolist() == [[5, 6], [8, 0]]
