"""Measure questions: ``python -m tests.benchmarks.questions``: from asking for the vectors of a text to the answer.

Questions are asked at a steady rate while the embed worker has nothing else to do, then while texts of items wait for
it. The loop is open: each counts from when it was due. A question that nobody answers counts with the time waited.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from kafka import KafkaProducer
from rich.console import Console
from rich.table import Table

from afresh.deploy.clients import ends_of, places, reader
from afresh.deploy.servers import local_kafka
from afresh.state.errors import UnavailableError
from afresh.streams.connections import kafka_options
from afresh.streams.kafka.admin import create_topics
from afresh.streams.messages import TextRequest, encode
from afresh.streams.questions import Questions
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics
from tests.benchmarks.embed import WORDS, texts
from tests.benchmarks.workers import start_worker

PARTITIONS = 4
GOAL_SECONDS, SETTLE_SECONDS = 0.2, 2.0
WARM_UP = 10
SEED = 11


@dataclass(frozen=True)
class AnswerTimes:
    """What was measured of some questions.

    Attributes
    ----------
    seconds
        Time of each from when it was due to its answer.
    waiting
        Texts of items that waited for the embed worker before and after.
    """

    seconds: Sequence[float]
    waiting: tuple[int, int]


def sentences(number: int) -> list[str]:
    """Return what people may look for: 3 to 12 words."""
    rng = random.Random(SEED)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 12))) for _ in range(number)]


async def ask(questions: Questions, asked: Sequence[str], rate: float) -> list[float]:
    """Ask at a rate a second; return the seconds of each from when it was due."""
    began = time.perf_counter()

    async def one(text: str, due: float) -> float:
        await asyncio.sleep(due - time.perf_counter())
        try:
            await questions.vectors(text)
        except UnavailableError as error:
            logging.warning("%s", error)
        return time.perf_counter() - due

    return await asyncio.gather(*(one(text, began + n / rate) for n, text in enumerate(asked)))


def send_texts(settings: Settings, number: int) -> None:
    """Let texts of items wait for the embed worker."""
    producer = KafkaProducer(**kafka_options(settings), metrics_enabled=False)
    for place, text in enumerate(texts(number)):
        item = f"item-{place}"
        request = encode(TextRequest(item, place, text))
        producer.send(Topics(settings).texts.name, request, item.encode())
    producer.flush()
    producer.close()


def unread(settings: Settings) -> int:
    """Count the texts of items that no encoder has read."""
    topics = Topics(settings)
    sent, read = places(topics.texts), places(topics.embeddings)
    consumer = reader(settings)
    try:
        ends = ends_of(consumer, [*sent, *read])
    finally:
        consumer.close()
    return sum(ends[place] for place in sent) - sum(ends[place] for place in read)


async def measure(settings: Settings, number: int, rate: float, backlog: int) -> dict[str, AnswerTimes]:
    """Ask while nothing else is to be done, and while texts of items wait."""
    found = {}
    async with Questions.open(settings) as questions:
        await ask(questions, sentences(WARM_UP), rate)
        for name, some in (("at rest", 0), ("texts wait", backlog)):
            await asyncio.to_thread(send_texts, settings, some)
            # Until the texts are being read.
            await asyncio.sleep(SETTLE_SECONDS)
            before = await asyncio.to_thread(unread, settings)
            seconds = await ask(questions, sentences(number), rate)
            found[name] = AnswerTimes(seconds, (before, await asyncio.to_thread(unread, settings)))
    return found


def run(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, AnswerTimes]:
    """Start Kafka and an embed worker, and measure."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        kafka = stack.enter_context(local_kafka(Path(folder), kind="kafka"))
        settings = Settings(
            kafka=kafka.address,
            namespace="questions",
            partitions=PARTITIONS,
            encoder=options.encoder,
            encoder_threads=options.threads,
        )
        create_topics(settings)
        _, worker = start_worker(settings, Path(folder) / "embed", stack, "embed-worker")
        worker.wait_until_ready()
        say(f"asking {options.questions} questions at {options.rate:g} a second, twice …")
        return asyncio.run(measure(settings, options.questions, options.rate, options.texts))


def figures(measured: dict[str, AnswerTimes]) -> dict[str, dict[str, float]]:
    """Return the figures as written to JSON, with the ratio of p50 to that at rest, and of p99 to the goal."""
    first = float(np.median(next(iter(measured.values())).seconds))
    made = {}
    for name, each in measured.items():
        p5, p50, p99 = np.percentile(each.seconds, [5, 50, 99])
        made[name] = {
            "p5_ms": round(1000 * p5, 1),
            "p50_ms": round(1000 * p50, 1),
            "p99_ms": round(1000 * p99, 1),
            "p50_to_rest": round(p50 / first, 2),
            "p99_to_goal": round(p99 / GOAL_SECONDS, 2),
            "within_goal": round(float(np.mean(np.array(each.seconds) <= GOAL_SECONDS)), 3),
            "texts_before": each.waiting[0],
            "texts_after": each.waiting[1],
        }
    return made


def table(measured: dict[str, AnswerTimes]) -> Table:
    """Table with one row for each measurement."""
    columns = (
        "",
        "p5 ms",
        "p50 ms",
        "p99 ms",
        "p50 : at rest",
        "p99 : 200 ms",
        "within 200 ms",
        "texts before",
        "after",
    )
    shown = Table(*columns)
    for name, each in figures(measured).items():
        shown.add_row(name, *(f"{value:g}" for value in each.values()))
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument(
        "--questions", type=int, default=200, metavar="N", help="questions of each measurement"
    )
    parser.add_argument("--rate", type=float, default=10.0, metavar="N", help="questions a second")
    parser.add_argument("--texts", type=int, default=3_000, metavar="N", help="texts of items that wait")
    parser.add_argument("--encoder", default="minilm", metavar="NAME", help="as AFRESH_ENCODER names it")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of the encoder; all cores but one"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    console = Console(width=120)
    measured = run(options, console.print)
    console.print(table(measured))
    if options.json:
        options.json.write_text(json.dumps(figures(measured), indent=2) + "\n")


if __name__ == "__main__":
    main()
