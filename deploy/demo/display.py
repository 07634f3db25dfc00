"""Keeps the panel up to date while the player plays; prints plain lines where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.panel import View, line, panel
from afresh.deploy.demo.scrape import Page, Readings

PANEL_SECONDS = 0.5
LINE_SECONDS = 5.0
RATE_SECONDS = 3.0


class Display:
    """Context manager that shows the progress of a demo from its own thread.

    Parameters
    ----------
    console
        The console to print on.
    title
        Name of the data, for people.
    servers
        Names of the broker and the Redis, for people.
    titles
        Title of each item, by id.
    notes
        The player's notes.
    page
        The metrics page of the worker that recommends.
    """

    def __init__(
        self, console: Console, title: str, servers: str, titles: Mapping[str, str], notes: Notes, page: Page
    ) -> None:
        self._console = console
        self._title = title
        self._servers = servers
        self._titles = titles
        self._notes = notes
        self._page = page
        self._readings = Readings()
        self._sent = deque([(time.monotonic(), 0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show_on, name="display", daemon=True)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(panel(self.view()), console=self._console, auto_refresh=False)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.show()
        if self._live:
            self._live.stop()

    def show(self) -> None:
        """Show the state of the demo now."""
        self._readings = self._page.read()
        if self._live:
            self._live.update(panel(self.view()), refresh=True)
        else:
            self._console.print(line(self.view()), highlight=False, soft_wrap=True)

    def view(self) -> View:
        """Return the state of the demo now."""
        return View(self._title, self._servers, self._titles, self._notes, self._readings, self._rate())

    def _show_on(self) -> None:
        while not self._stop.wait(PANEL_SECONDS if self._live else LINE_SECONDS):
            self.show()

    def _rate(self) -> float:
        progress = self._notes.progress
        if progress.ended:
            return progress.rate
        now, sent = time.monotonic(), progress.sent
        self._sent.append((now, sent))
        while now - self._sent[0][0] > RATE_SECONDS and len(self._sent) > 2:
            self._sent.popleft()
        then, before = self._sent[0]
        return (sent - before) / (now - then) if now > then else 0.0
