"""One evaluation, from the files to the tables."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from afresh.deploy.datasets import sets
from afresh.deploy.evaluate import baseline, prequential
from afresh.deploy.evaluate.baseline import BaselineRun, Making
from afresh.deploy.evaluate.embeddings import Texts, Vectors
from afresh.deploy.evaluate.engine import Engine
from afresh.deploy.evaluate.log import Announcement, Log, read_log, text_of
from afresh.deploy.evaluate.prequential import Progress as Done
from afresh.deploy.evaluate.prequential import Ranking
from afresh.deploy.evaluate.report import Figures, Output, Reporter, by_slice, overview, write_lists
from afresh.deploy.evaluate.trials import trials_of
from afresh.deploy.feeds.lines import open_lines
from afresh.models.arrays import Halves
from afresh.state.records import LeaveOut
from afresh.state.rows.content import content_hash
from afresh.streams.encoders import options_of
from afresh.streams.messages import Item
from afresh.streams.serving.policy import Policy
from afresh.streams.settings import EVERYWHERE, NO_ENCODER, Settings

OURS = "afresh"
WHOLE = {OURS: ()}
"""The one variant of a plain evaluation: the recommender with all its scorers."""

T = TypeVar("T")


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``afresh evaluate``; its help explains each."""

    events: str | None
    items: str | None
    data: str | None
    links: str | None = None
    start: float = 0.5
    k: int = 10
    cut: int | None = None
    refresh: int = 1
    keep_seen: bool = False
    diversity: float = 0.0
    exploration: float = 0.0
    no_text: bool = False
    baselines: tuple[str, ...] = ()
    lists: Path | None = None
    json: Path | None = None

    def policy(self, settings: Settings) -> Policy:
        """Return what lists may hold, and how they are arranged."""
        leave_out: dict[str, LeaveOut] = {EVERYWHERE: "nothing"} if self.keep_seen else settings.leave_out
        return Policy(leave_out, self.diversity, self.exploration)


def run(options: EvaluateOptions, console: Console, errors: Console) -> Figures:
    """Evaluate, print the tables, and write the files that the options name.

    Parameters
    ----------
    options
        What to evaluate.
    console
        Where the tables go.
    errors
        Where progress is shown.

    Returns
    -------
    The figures, as written to JSON.

    Raises
    ------
    AfreshError
        If the input cannot be evaluated, or a file cannot be written.
    """
    makings = {name: baseline.find(name) for name in options.baselines}
    settings = Settings()
    with ExitStack() as stack:
        # A worker also runs its maths in one thread.
        stack.enter_context(threadpool_limits(1))
        files = {file: stack.enter_context(Output(file)) for file in (options.lists, options.json) if file}
        progress = stack.enter_context(_progress(errors))
        evaluation = Evaluation.load(options, settings, progress)
        (ranking,) = evaluation.run_ours()
        for name, making in makings.items():
            evaluation.run_baseline(name, making)
        figures = evaluation.figures()
        if options.lists:
            write_lists(files[options.lists], evaluation.log, evaluation.trials, ranking)
        if options.json:
            files[options.json].write(json.dumps(figures, indent=2) + "\n")
    console.print(overview(figures["rankers"], options.k))
    console.print(by_slice(figures["rankers"], options.k))
    console.print(evaluation.sentence())
    return figures


class Evaluation:
    """A log, and the figures of the rankers that have run over it.

    Parameters
    ----------
    log
        The log to run over.
    options, settings
        How to evaluate it.
    texts
        Encoder of the items' texts.
    progress
        Display of the progress.
    """

    def __init__(
        self, log: Log, options: EvaluateOptions, settings: Settings, texts: Texts, progress: Progress
    ) -> None:
        self.log = log
        self.trials = trials_of(log, options.start)
        self._options = options
        self._settings = settings
        self._progress = progress
        self._encoder = (texts.name, texts.version)
        self._vectors = self._embed(texts)
        self._size = max(settings.list_size, 2 * options.k)
        self._reporter = Reporter(log, self.trials, self._vectors, options.k, settings.text_template)
        self._rankers: dict[str, Figures] = {}
        # A drifting hit rate is worth a warning in a live worker only. Here the slices show it.
        logging.getLogger("afresh.state.judged.weighing").setLevel(logging.ERROR)

    @classmethod
    def load(cls, options: EvaluateOptions, settings: Settings, progress: Progress) -> Evaluation:
        """Read the log that the options name."""
        if options.data is not None:
            named = sets.load(options.data)
            log = _read(options, settings, named.events, named.items)
        else:
            log = _read_files(options, settings)
        if options.no_text:
            log = replace(log, announcements=[_silent(each) for each in log.announcements])
        # Without texts nothing is encoded, so the evaluation must run where no encoder is installed.
        texts = Texts(
            settings.encoder if any(log.texts(settings.text_template)) else NO_ENCODER, options_of(settings)
        )
        return cls(log, options, settings, texts, progress)

    def _embed(self, texts: Texts) -> Vectors:
        task = self._progress.add_task("texts", total=None)
        vectors = texts.vectors(
            self.log.texts(self._settings.text_template),
            lambda done, total: self._progress.update(task, completed=done, total=total),
        )
        self._progress.remove_task(task)
        return vectors

    def run_ours(self, variants: Mapping[str, Collection[str]] = WHOLE) -> list[Ranking]:
        """Run variants of the recommender over the log, all in one pass.

        ``variants`` maps the name of each variant to the scorers that it leaves out.
        """
        options = self._options
        policy = options.policy(self._settings)
        engine = Engine(
            self._settings, self._size, self._encoder, policy=policy, without=list(variants.values())
        )
        rankings, seconds = self._timed(
            ", ".join(variants),
            lambda done: prequential.run(engine, self.log, self.trials, self._vectors, options.refresh, done),
        )
        shared = seconds - sum(each.seconds for each in engine.variants)
        for name, ranking, variant in zip(variants, rankings, engine.variants, strict=True):
            self._rankers[name] = self._reporter.figures(ranking, shared + variant.seconds)
        return rankings

    def run_baseline(self, name: str, making: Making) -> None:
        """Run a baseline over the log."""
        made = making(len(self.trials))
        keep_seen = self._options.keep_seen
        runner = BaselineRun(made, self.trials, self._size, keep_seen=keep_seen, vector_of=self._vector_of)
        ranking, seconds = self._timed(name, lambda done: runner.run(self.log, done))
        self._rankers[name] = self._reporter.figures(ranking, seconds)

    def _vector_of(self, item: Item) -> Halves | None:
        return self._vectors.get(content_hash(text_of(item, self._settings.text_template)))

    def _timed(self, name: str, run: Callable[[Done], T]) -> tuple[T, float]:
        """Call ``run`` with a progress bar; return its result and the CPU seconds."""
        task = self._progress.add_task(name, total=len(self.log.interactions))
        started = time.process_time()
        result = run(lambda done: self._progress.update(task, completed=done))
        return result, time.process_time() - started

    def figures(self) -> Figures:
        """Return all figures, as written to JSON."""
        options, log, trials = self._options, self.log, self.trials
        return {
            "version": version("afresh"),
            "input": {
                "set": options.data or options.events,
                "events": len(log.interactions),
                "duplicates": log.duplicates,
                "refused": dict(log.refused),
                "items_announced": len(log.announcements),
                "links": len(log.links),
                "items_taken": len(trials.item_names),
                "users": len(trials.user_names),
            },
            "protocol": {
                "from": options.start,
                "k": options.k,
                "refresh": options.refresh,
                "leave_out": dict(options.policy(self._settings).leave_out),
                "diversity": options.diversity,
                "exploration": options.exploration,
                "text": not options.no_text,
                "encoder": "@".join(self._encoder),
                "trials": len(trials),
                "evaluated": len(trials) - trials.first,
            },
            "rankers": self._rankers,
        }

    def sentence(self) -> str:
        """Say in one line what was evaluated."""
        log, trials = self.log, self.trials
        refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(log.refused.items()))
        return (
            f"{len(trials) - trials.first:,} of {len(trials):,} events evaluated, of {len(trials.user_names):,} users "
            f"and {len(trials.item_names):,} items; {log.duplicates:,} duplicates left out"
            + (f", and {refused}" if refused else "")
        )


def _read_files(options: EvaluateOptions, settings: Settings) -> Log:
    with ExitStack() as stack:
        items = stack.enter_context(open_lines(options.items)) if options.items else ()
        events = stack.enter_context(open_lines(str(options.events)))
        return _read(options, settings, events, items)


def _read(
    options: EvaluateOptions, settings: Settings, events: Iterable[bytes], items: Iterable[bytes]
) -> Log:
    with ExitStack() as stack:
        links = stack.enter_context(open_lines(options.links)) if options.links else ()
        return read_log(settings, events, items, links, cut=options.cut)


def _silent(announcement: Announcement) -> Announcement:
    """Return the announcement without title, text and attributes."""
    item = announcement.item
    silent = Item(id=item.id, domain=item.domain, vectors=item.vectors, available=item.available)
    return Announcement(announcement.time, silent)


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
