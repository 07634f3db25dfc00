from __future__ import annotations

import asyncio
from io import StringIO
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from afresh.state.errors import UnavailableError
from tests.benchmarks import questions
from tests.benchmarks.questions import AnswerTimes

MEASURED = {
    "at rest": AnswerTimes([0.1] * 3, (0, 0)),
    "texts wait": AnswerTimes([0.1, 0.15, 0.4], (3000, 2900)),
}


def test_the_figures_compare_with_rest_and_with_the_goal() -> None:
    assert questions.figures(MEASURED)["texts wait"] == {
        "p5_ms": 105.0,
        "p50_ms": 150.0,
        "p99_ms": 395.0,
        "p50_to_rest": 1.5,
        "p99_to_goal": 1.98,
        "within_goal": 0.667,
        "texts_before": 3000,
        "texts_after": 2900,
    }
    output = StringIO()
    Console(file=output, width=120).print(questions.table(MEASURED))
    assert "1.98" in output.getvalue()


def test_sentences_are_the_same_each_time_and_of_3_to_12_words() -> None:
    made = questions.sentences(50)
    assert made == questions.sentences(50)
    assert {3 <= len(each.split()) <= 12 for each in made} == {True}


async def test_a_question_counts_from_when_it_was_due_also_if_nobody_answers() -> None:
    asked: list[str] = []

    async def vectors(text: str) -> None:
        asked.append(text)
        await asyncio.sleep(0)
        if text == "b":
            raise UnavailableError("nobody")

    fake: Any = SimpleNamespace(vectors=vectors)
    seconds = await questions.ask(fake, ["a", "b", "c"], 1000.0)
    assert asked == ["a", "b", "c"]
    assert len(seconds) == 3
    assert min(seconds) >= 0
