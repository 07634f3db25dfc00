"""Runs the demo once: send the items, play the events, print the figures."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from afresh.deploy.demo import data
from afresh.deploy.demo.deployment import Deployment, deployment
from afresh.deploy.demo.display import Display
from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.kafka_client import DemoFeed
from afresh.deploy.demo.linker import Linker
from afresh.deploy.demo.meeting import meeting
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.panel import picture, scene
from afresh.deploy.demo.player import ClosedLoop, Pace, catch_up, open_loop
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.spotlight import Spotlight
from afresh.deploy.demo.stopping import Stop
from afresh.deploy.demo.summary import Summary, summarise
from afresh.deploy.demo.window import Window, account
from afresh.deploy.servers.prometheus import local_prometheus, require_prometheus
from afresh.deploy.settings_table import masked
from afresh.state.lists import recommendations_key
from afresh.streams.encoders import require_encoder
from afresh.streams.settings import NO_ENCODER, Settings

CATALOGUE_SECONDS = 60.0
EMBEDDINGS_SECONDS = 180.0
CATCH_UP_SECONDS = 60.0
CATCH_UP_EVENTS_PER_SECOND = 500.0


@dataclass(frozen=True)
class DemoOptions:
    """Options of the command line; see ``deploy.demo.command.demo``."""

    data: str = "ml-100k"
    events: int | None = None
    speed: float | None = None
    summary: Path | None = None
    keep: bool = False
    users_at_once: int = 64
    open_loop: bool = False
    prometheus: bool = False
    picture: Path | None = None


def run(options: DemoOptions, console: Console, stop: Stop) -> None:
    """Run the demo; with ``keep``, go on serving until interrupted.

    Raises
    ------
    AfreshError
        If the data, a server, a worker or the packages of the encoder are missing.
    WorkerDied
        If a worker ends by itself.
    """
    require_encoder(Settings())
    if options.prometheus:
        require_prometheus()
    with TemporaryDirectory(prefix="afresh-demo-") as folder, ExitStack() as stack:
        played = data.load(options.data, options.events, second_accounts=not options.open_loop)
        console.print(f"{played.title}: {len(played.items):,} items, {len(played.events):,} ratings.")
        console.print("Starting the servers and the workers ...")
        with deployment(Path(folder), stop) as running, stop.later():
            console.print(f"Running: {running.description}.")
            if options.prometheus:
                address = stack.enter_context(local_prometheus(Path(folder) / "prometheus", running.ports))
                console.print(f"Prometheus: {address}/alerts, while this runs.")
            Session(options, console, stop, running, played).run()


class Session:
    """Plays the data on a deployment.

    Parameters
    ----------
    options
        Options of the command line.
    console
        The console to show the demo on.
    stop
        Tells whether to end early.
    running
        The deployment.
    played
        Items, events and links.
    """

    def __init__(
        self, options: DemoOptions, console: Console, stop: Stop, running: Deployment, played: data.DemoData
    ) -> None:
        self._options = options
        self._console = console
        self._stop = stop
        self._running = running
        self._played = played
        self._items = played.items
        self._events = played.events
        self._titles = {item.id: item.title for item in played.items}
        total = len(self._events)
        self._notes = Notes(Progress(total), PlayerJudge(list(self._titles), total), Spotlight())

    def run(self) -> None:
        """Play everything, print the figures, and keep serving if the options say so."""
        with DemoFeed(self._running.settings, hurry=not self._options.open_loop) as feed:
            feed.items(self._items)
            self._wait_for("afresh_catalogue_items", CATALOGUE_SECONDS)
            with self._display() as display:
                self._play(feed)
                if self._running.settings.encoder != NO_ENCODER:
                    self._wait_for("afresh_catalogue_embedded_items", EMBEDDINGS_SECONDS)
        if self._options.picture:
            picture(display.view(), self._options.picture)
        self._tell(self._summarise())
        if self._options.keep:
            self._keep()

    def _display(self) -> Display:
        running = self._running
        return Display(
            self._console, self._played.title, running.description, self._titles, self._notes, running.page
        )

    def _play(self, feed: DemoFeed) -> None:
        check, lists, pace = self._checks(feed), self._running.lists, Pace(self._options.speed)
        if not self._options.open_loop:
            window = Window(self._events, self._options.users_at_once)
            linker = Linker(self._played.links, lists, feed.link, self._notes.links)
            ClosedLoop(window, lists, feed.event, linker, self._notes, pace).run(check)
            return
        progress = self._notes.progress
        progress.start()
        last = open_loop(self._events, feed.event, progress, pace, check)
        feed.flush()
        patience = CATCH_UP_SECONDS + len(self._events) / CATCH_UP_EVENTS_PER_SECOND
        progress.late = catch_up(last, lists, patience, check)
        progress.end()

    def _checks(self, feed: DemoFeed) -> Callable[[], None]:
        def check() -> None:
            feed.check()
            self._check()

        return check

    def _check(self) -> None:
        self._stop.check()
        self._running.check()

    def _wait_for(self, metric: str, patience: float) -> None:
        """Return once the metric counts all items, or after ``patience`` seconds: the figures then show the gap."""
        deadline = time.monotonic() + patience
        while self._running.page.read().total(metric) < len(self._items) and time.monotonic() < deadline:
            self._check()
            time.sleep(0.1)

    def _summarise(self) -> Summary:
        readings = self._running.page.read()
        summary = summarise(self._notes, readings, self._running.dead_letters(readings))
        if self._options.summary:
            summary.write(self._options.summary)
        return summary

    def _tell(self, summary: Summary) -> None:
        if not self._console.is_terminal:
            self._console.print(scene(self._notes.spotlight.scene, self._titles))
            self._console.print(meeting(self._notes.links.meeting, self._titles))
        for sentence in summary.sentences():
            self._console.print(sentence, highlight=False, soft_wrap=True)

    def _keep(self) -> None:
        for name, words in self._addresses().items():
            self._console.print(f"{name:<10}{words}", highlight=False, markup=False, soft_wrap=True)
        with suppress(KeyboardInterrupt):
            while True:
                self._check()
                time.sleep(0.5)

    def _addresses(self) -> Mapping[str, str]:
        settings, user = self._running.settings, account(self._events[-1])
        redis = masked(settings.redis.get_secret_value())
        afresh = (
            "afresh" if shutil.which("afresh") else shlex.quote(str(Path(sys.executable).with_name("afresh")))
        )
        variables = f"AFRESH_REDIS={redis} AFRESH_NAMESPACE={settings.namespace}"
        return {
            "Serving": "until Ctrl-C, which stops everything and cleans up",
            "Kafka": f"{settings.kafka}, topics {settings.namespace}.*",
            "Redis": redis,
            "Metrics": self._running.page.url,
            "A list": f"{variables} {afresh} recommend {user}",
            "the same": f"redis-cli -u {redis} GET {recommendations_key(settings.namespace, user)}",
        }
