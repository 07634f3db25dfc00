"""Asks the embed workers for the vectors of a text, as workers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from afresh.models.encoder.base import Kind
from afresh.state.errors import AfreshError
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.messages import TextVector
from afresh.streams.questions import Questions
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics


@dataclass(frozen=True)
class Answered:
    """What encoders say of a text, and the seconds from the question to the answer."""

    vectors: Sequence[TextVector]
    seconds: float


def ask(settings: Settings, text: str, kind: Kind) -> Answered:
    """Ask for the vectors of a text.

    Parameters
    ----------
    settings
        Settings of the deployment.
    text, kind
        The text, and what it is.

    Raises
    ------
    UnavailableError
        If no embed worker answers.
    AfreshError
        If the topics are wrong, or no encoder gives a vector of the text.
    """
    topics = Topics(settings)
    rights = needs(read=[topics.answers], written=[topics.questions])
    require_topics(settings, [topics.questions, topics.answers], rights)
    found = asyncio.run(_ask(settings, text, kind))
    if not any(each.vector for each in found.vectors):
        raise AfreshError(f"no encoder gives a vector of this text ({'; '.join(lines(found))})")
    return found


async def _ask(settings: Settings, text: str, kind: Kind) -> Answered:
    async with Questions.open(settings) as questions:
        asked = time.perf_counter()
        vectors = await questions.vectors(text, kind)
        return Answered(list(vectors.values()), time.perf_counter() - asked)


def lines(found: Answered) -> Iterator[str]:
    """Yield a line for each encoder.

    Examples
    --------
    >>> vector = TextVector("minilm", "0f3a1b2c4d5e", bytes(2 * 384))
    >>> list(lines(Answered([vector], 0.0123)))
    ['minilm 0f3a1b2c4d5e: 384 numbers in 12 ms']
    """
    for each in found.vectors:
        said = (
            f"{len(_numbers(each))} numbers in {1000 * found.seconds:.0f} ms" if each.vector else each.reason
        )
        yield f"{each.encoder} {each.encoder_version}: {said}".lstrip()


def records(found: Answered) -> list[dict[str, Any]]:
    """Return what encoders say as it is written to JSON; a vector that there is not is empty.

    Examples
    --------
    >>> vector = TextVector("minilm", "0f3a1b2c4d5e", np.array([0.5, -1.0], "<f2").tobytes())
    >>> records(Answered([vector], 0.0123))
    [{'encoder': 'minilm', 'version': '0f3a1b2c4d5e', 'milliseconds': 12.3, 'vector': [0.5, -1.0], 'reason': ''}]
    """
    return [
        {
            "encoder": each.encoder,
            "version": each.encoder_version,
            "milliseconds": round(1000 * found.seconds, 1),
            "vector": _numbers(each),
            "reason": each.reason,
        }
        for each in found.vectors
    ]


def _numbers(vector: TextVector) -> list[float]:
    numbers: list[float] = np.frombuffer(vector.vector, np.float16).tolist()
    return numbers
