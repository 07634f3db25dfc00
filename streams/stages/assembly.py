"""Assembly of stages: turns StageSpecs into the tables and agents of an app.

The worker, the tests' in-memory pipeline and the benchmarks all use these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from afresh.state.store.rows import Partitions
from afresh.streams import metrics
from afresh.streams.kafka.app import App, source
from afresh.streams.kafka.positions import Read
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Stage
from afresh.streams.topics import Topics


class Agent(Protocol):
    """Callable that makes a stage; every subclass of Stage is one."""

    def __call__(self, runner: Runner, table: RunTable, shared: Shared, /) -> Stage[Any]:
        """Make a stage from its runner, its table, and what all stages share."""


@dataclass(frozen=True)
class StageSpec:
    """Description of a stage.

    Attributes
    ----------
    name
        Name of the agent in metrics and logs.
    sources
        Topics that the agent reads, by their names in ``streams.topics.Topics``.
    table
        Table that the agent writes. Its changelog topic has the same name in ``streams.topics.Topics``.
    agent
        Class of the stage.
    rest_seconds
        Pause after each run of a partition, in seconds, for an agent that nobody waits for.
    waits_for_catalogue
        Whether the first run waits until the worker has read the Catalogue.
    rebuilt
        Whether an empty table is filled from the beginning of the sources, whatever the group has committed. It fits
        sources that keep everything, and a stage that takes over the source of another one. Other stages refuse to go
        on without rows of what was committed.
    """

    name: str
    sources: tuple[str, ...]
    table: str
    agent: Agent
    rest_seconds: float = 0.0
    waits_for_catalogue: bool = True
    rebuilt: bool = False


def make_tables(
    app: App,
    settings: Settings,
    topics: Topics,
    stages: Sequence[StageSpec],
    rows: Callable[[str], Partitions],
    recovered: Callable[[str], Callable[[int], object]] = lambda table: metrics.RECOVERED.labels(table).inc,
) -> dict[str, RunTable]:
    """Make the tables of stages, by name, and add them to the app, which recovers them.

    Parameters
    ----------
    app, settings, topics
        The app, and the settings and topics of the deployment.
    stages
        Stages that the tables belong to.
    rows
        Returns the store of a table's rows, given the table's name.
    recovered
        Returns the callback of a table, given its name. Recovery calls it with the number of changelog records read.
    """
    tables = {
        spec.table: RunTable(
            app,
            name=spec.table,
            changelog=topics.named(spec.table).name,
            partitions=settings.partitions,
            rows=rows(spec.table),
            recovered=recovered(spec.table),
            incarnations=app.incarnations,
            limits=app.limits,
        )
        for spec in stages
    }
    for table in tables.values():
        app.tables.add(table)
    return tables


def make_stages(
    stages: Sequence[StageSpec],
    tables: Mapping[str, RunTable],
    shared: Shared,
    runner: Callable[[StageSpec], Runner],
) -> dict[str, Stage[Any]]:
    """Make the stages, by name, each with its own runner."""
    return {spec.name: spec.agent(runner(spec), tables[spec.table], shared) for spec in stages}


def reads_of(topics: Topics, stages: Sequence[StageSpec], tables: Mapping[str, RunTable]) -> dict[str, Read]:
    """Return how each source topic is read, by its name."""
    return {
        topics.named(source).name: Read(tables[spec.table], spec.rebuilt)
        for spec in stages
        for source in spec.sources
    }


def add_agents(app: App, topics: Topics, stages: Sequence[StageSpec], made: Mapping[str, Stage[Any]]) -> None:
    """Register the stages as agents of an app, each on its source topics."""
    for spec in stages:
        channel = source(app, *map(topics.named, spec.sources))
        app.agent(channel, name=spec.name, concurrency=1)(made[spec.name].agent)
