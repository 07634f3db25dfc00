"""How stages are put together: from rows of a table to tables and agents of an app.

The worker, the pipeline in memory of the tests and the benchmarks all do it by these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from afresh.state.store.rows import Partitions
from afresh.streams import metrics
from afresh.streams.kafka.app import App, source
from afresh.streams.kafka.tables import RunTable
from afresh.streams.runs.runner import Runner
from afresh.streams.settings import Settings
from afresh.streams.stages.shared import Shared
from afresh.streams.stages.stage import Stage
from afresh.streams.topics import Topics


class Agent(Protocol):
    """Makes a stage; every class of a stage is one."""

    def __call__(self, runner: Runner, table: RunTable, shared: Shared, /) -> Stage[Any]:
        """Make the stage of a runner, a table, and what stages share."""


@dataclass(frozen=True)
class StageSpec:
    """What a stage is.

    Attributes
    ----------
    name
        Of the agent, in metrics and logs.
    sources
        The topics that it reads, by their names in ``streams.topics.Topics``.
    table
        The table that it writes; the topic of its changelog has the same name there.
    agent
        Its class.
    rest_seconds
        Pause after each run of a partition, for an agent that nobody waits for.
    waits_for_catalogue
        Whether it takes nothing in before the worker has read the Catalogue and the identities.
    """

    name: str
    sources: tuple[str, ...]
    table: str
    agent: Agent
    rest_seconds: float = 0.0
    waits_for_catalogue: bool = True


def make_tables(
    app: App,
    settings: Settings,
    topics: Topics,
    stages: Sequence[StageSpec],
    rows: Callable[[str], Partitions],
    recovered: Callable[[str], Callable[[int], object]] = lambda table: metrics.RECOVERED.labels(table).inc,
) -> dict[str, RunTable]:
    """Make the tables of stages, by name, and have the app recover them.

    Parameters
    ----------
    app, settings, topics
        The app, and the deployment.
    stages
        Whose tables.
    rows
        Where the rows of each table are kept.
    recovered
        Who is told how many records of a table's changelog were read.
    """
    tables = {
        row.table: RunTable(
            app,
            name=row.table,
            changelog=topics.named(row.table).name,
            partitions=settings.partitions,
            rows=rows(row.table),
            recovered=recovered(row.table),
        )
        for row in stages
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
    """Make stages, by name, each with a runner of its own."""
    return {row.name: row.agent(runner(row), tables[row.table], shared) for row in stages}


def add_agents(app: App, topics: Topics, stages: Sequence[StageSpec], made: Mapping[str, Stage[Any]]) -> None:
    """Let an app feed stages from their topics."""
    for row in stages:
        channel = source(app, *map(topics.named, row.sources))
        app.agent(channel, name=row.name, concurrency=1)(made[row.name].agent)
