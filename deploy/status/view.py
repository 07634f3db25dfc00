"""Shows the status of a deployment as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from afresh.deploy.status.status import Judged, ModelStatus, Status
from afresh.state.judged.verdicts import POPULARITY, SERVED
from afresh.state.lists import timestamp
from afresh.streams.settings import INLINE
from afresh.streams.topics import FIRST_PARTITION

UNKNOWN = "-"

UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def tables(status: Status) -> Iterator[RenderableType]:
    """Yield the tables, and a line for each thing that needs a person's attention."""
    yield _deployment(status)
    if status.judged.rates:
        yield _slices(status.judged)
        yield _scorers(status.judged)
    yield from _remarks(status)


def _deployment(status: Status) -> Table:
    table = Table("what", "how much", title="Deployment", title_justify="left")
    for topic, count in status.waiting.items():
        table.add_row(f"records waiting in {topic}", f"{count:,}")
    for worker in status.workers or ():
        held = ", ".join(map(str, worker.partitions)) or "none"
        table.add_row(f"worker {worker.name} at {worker.host}", f"partitions {held}")
    for worker in status.model.workers or ():
        does = "makes the model" if FIRST_PARTITION in worker.partitions else "stands by"
        table.add_row(f"model worker {worker.name} at {worker.host}", does)
    table.add_row("model", _model(status.model))
    table.add_row("worker on this machine", status.ready or "no metrics page")
    table.add_row("lists in Redis", UNKNOWN if status.lists is None else f"{status.lists:,}")
    table.add_row("dead letters", f"{status.dead_letters:,}")
    table.add_row("items taken", f"{status.judged.examples:,}")
    return table


def _model(model: ModelStatus) -> str:
    if model.version is None:
        return "the next version is being told"
    if not model.version:
        return "none yet"
    return f"{_age(model.age_seconds)} old, of {model.items:,} items: version {model.version}"


def _age(seconds: float) -> str:
    """Write an age in a unit that makes a short number of it.

    Examples
    --------
    >>> [_age(seconds) for seconds in (0.4, 119, 120, 7_300, 200_000)]
    ['0 s', '119 s', '2 min', '2 h', '2 days']
    """
    size, unit = next((each for each in UNITS if seconds >= 2 * each[0]), (1, "s"))
    return f"{seconds // size:.0f} {unit}"


def _slices(judged: Judged) -> Table:
    table = Table(
        "slice", "judged", "HR@10", "of popularity", "NDCG@10", "of popularity", "drifts",
        title="Lists, lately", title_justify="left",
    )  # fmt: skip
    for name, rates in judged.rates.items():
        served, popular = rates[SERVED], rates[POPULARITY]
        numbers = (served.hit_rate, popular.hit_rate, served.ndcg, popular.ndcg)
        table.add_row(
            name,
            f"{judged.judged[name]:,}",
            *(f"{number:.3f}" for number in numbers),
            str(judged.drifts.get(name, 0)),
        )
    return table


def _scorers(judged: Judged) -> Table:
    table = Table(
        "scorer",
        "weight",
        "HR@10 alone",
        "NDCG@10 alone",
        title=f"Scorers, weights {judged.version:,}",
        title_justify="left",
    )
    for name, weight in judged.weights.items():
        rate = judged.rates["all"][name]
        table.add_row(name, f"{weight:+.2f}", f"{rate.hit_rate:.3f}", f"{rate.ndcg:.3f}")
    return table


def _remarks(status: Status) -> Iterator[str]:
    if status.workers is None:
        yield "this broker does not tell which workers run"
    elif not status.workers:
        yield "no worker is running: start one with afresh worker"
    if status.model.made_by != INLINE and status.model.workers == []:
        yield "no model worker is running: start one with afresh model-worker"
    if status.lists is None:
        yield "Redis does not answer: check AFRESH_REDIS"
    last = status.judged.last
    if last is not None:
        to = f"the snapshot of {timestamp(last.to / 1000)}" if last.to else "popularity"
        yield (
            f"rollbacks: {status.judged.rollbacks}; the last at {timestamp(last.time / 1000)}, by the {last.cause}, "
            f"to {to}"
        )
    if status.judged.on_trial:
        yield "the weights went back and have not proved good yet"
    if status.judged.refused:
        named = ", ".join(f"{partition} ({count:,})" for partition, count in status.judged.refused.items())
        yield (
            f"examples were garbage and were not learned from, by partition: {named}; look at the log of the workers "
            "that held these"
        )
