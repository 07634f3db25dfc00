"""That it is asked on Kafka, ``tests/kafka/test_questions.py`` shows."""

import pytest

from afresh.deploy.embeddings import vector as module
from afresh.deploy.embeddings.vector import Answered, ask, lines, records
from afresh.state.errors import AfreshError
from afresh.streams.messages import TextVector
from afresh.streams.settings import Settings

SAID = TextVector("minilm", "1", b"\0\x3c\0\x3c")
SILENT = TextVector("", "9", b"", "has not loaded it")


def answered(monkeypatch: pytest.MonkeyPatch, *vectors: TextVector) -> Answered:
    async def at_once(settings: Settings, text: str, kind: str) -> Answered:
        assert (text, kind) == ("a film", "document")
        return Answered(vectors, 0.02)

    monkeypatch.setattr(module, "_ask", at_once)
    monkeypatch.setattr(module, "require_topics", lambda *_: None)
    return ask(Settings(_env_file=None), "a film", "document")


def test_what_each_encoder_says_is_shown_and_why_another_one_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = answered(monkeypatch, SAID, SILENT)
    assert list(lines(found)) == ["minilm 1: 2 numbers in 20 ms", "9: has not loaded it"]
    assert [(each["vector"], each["reason"]) for each in records(found)] == [
        ([1.0, 1.0], ""),
        ([], "has not loaded it"),
    ]


def test_a_text_of_which_no_encoder_gives_a_vector_is_an_error_with_the_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(AfreshError, match=r"no encoder gives a vector of this text \(9: has not loaded it\)"):
        answered(monkeypatch, SILENT)
