"""On the genuine Kafka: embed workers answer questions by their keys, whatever else they have to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afresh.deploy.cli import app
from afresh.deploy.demo.scrape import Page
from afresh.deploy.demo.workers import environment
from afresh.models.encoder import Encoder, Options, load
from afresh.state.errors import UnavailableError
from afresh.streams import questions as module
from afresh.streams.messages import TextRequest, TextVector, answer_decoder, encode
from afresh.streams.questions import Questions
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, deployment, wait
from tests.models.encoder.making import WORDS, bert

TEXTS = 800
NO_QUESTIONS = {b"odd": b"{}", b"none": None}
BLOCK = ["embeddings", "vector", "a quiet film about the sea"]
"""The command of OPERATING.md."""


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Deployment]:
    # One text in a call, so that hundreds of them take a while.
    chosen = {"encoder": str(bert(tmp_path / "encoder")), "encoder_batch": 1, "encoder_threads": 1}
    with deployment(settings.model_copy(update=chosen), tmp_path) as each:
        yield each


@pytest.fixture
def encoder(made: Deployment) -> Encoder:
    return load(made.settings.encoder, Options(device="cpu"))


def send_texts(made: Deployment) -> None:
    """Let texts of items wait for the embed worker, and records that are no questions."""
    for key, value in (*NO_QUESTIONS.items(), (None, b"no key")):
        made.producer.send(made.topics.questions.name, value, key)
    for number in range(TEXTS):
        item, text = (
            f"i{number}",
            f"{' '.join(WORDS)} " * 5 + " ".join(WORDS[int(digit)] for digit in str(number)),
        )
        made.producer.send(made.topics.texts.name, encode(TextRequest(item, number, text)), item.encode())
    made.producer.flush()


def counted(page: Page) -> dict[str, int]:
    """Count questions by outcome."""
    read = page.read()
    found = {
        outcome: read.total("afresh_questions_total", outcome=outcome)
        for outcome in ("answered", "refused", "without a key", "too old")
    }
    return {outcome: count for outcome, count in found.items() if count}


async def ask_while_texts_wait(made: Deployment, texts: Sequence[str]) -> list[dict[str, TextVector]]:
    async with Questions.open(made.settings) as questions:
        await questions.vectors("toy story", seconds=60.0)
        await asyncio.to_thread(send_texts, made)
        return await asyncio.gather(*(questions.vectors(text, seconds=60.0) for text in texts))


def test_questions_are_answered_while_texts_of_items_wait(made: Deployment, encoder: Encoder) -> None:
    process, texts = made.process("embed-worker"), [f"{WORDS[number]} story" for number in range(9)]
    with made.running(process) as page:
        found = asyncio.run(ask_while_texts_wait(made, texts))
        for text, vectors in zip(texts, found, strict=True):
            vector = np.frombuffer(vectors[encoder.version].vector, np.float16)
            np.testing.assert_allclose(vector, encoder.encode([text], "query")[0], atol=1e-3)
        answers = {each.key: each for each in made.records(made.topics.answers)}
        assert len(answers) == len(texts) + 1 + len(NO_QUESTIONS)
        assert all(answer_decoder.decode(answers[key].value).reason for key in NO_QUESTIONS)
        assert counted(page) == {"answered": len(texts) + 1, "refused": len(NO_QUESTIONS), "without a key": 1}
        wait(lambda: len(made.records(made.topics.embeddings)) == TEXTS, "all texts of items to be read")
        last = max(each.timestamp for each in answers.values())
        later = sum(each.timestamp > last for each in made.records(made.topics.embeddings))
        assert later > TEXTS / 4
        with environment(made.variables(process)):
            shown = CliRunner().invoke(app, BLOCK)
            printed = CliRunner().invoke(app, [*BLOCK, "--kind", "document", "--json"])
    assert shown.exit_code == 0, shown.stderr
    assert f" {encoder.version}: 16 numbers in " in shown.stdout
    assert [len(each["vector"]) for each in json.loads(printed.stdout)] == [16]


def test_the_command_says_what_to_do_while_no_embed_worker_runs(
    made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Questions.vectors, "__defaults__", ("query", (), 0.1))
    with environment(made.variables(made.process("embed-worker"))):
        result = CliRunner().invoke(app, BLOCK)
    assert result.exit_code == UnavailableError.status
    assert result.stderr.count("\n") == 1
    assert "no embed worker answered within 0.1 s; look whether afresh embed-worker runs" in result.stderr
