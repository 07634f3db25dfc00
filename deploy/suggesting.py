"""Suggests links again and again, with a page that shows what comes of it: ``afresh suggest --every``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NoReturn

from afresh.deploy.suggest import Suggested, suggest_links
from afresh.state.errors import UnavailableError
from afresh.streams import metrics
from afresh.streams.settings import Settings
from afresh.streams.workers import logs, pages

logger = logging.getLogger(__name__)

Run = Callable[[Settings], Suggested]
"""One run; ``suggest_links`` outside tests."""


class Suggesting:
    """Runs, and remembers how the last one went.

    Parameters
    ----------
    settings
        Settings of the deployment.
    run
        Suggests links once.
    clock
        Clock, monotonic, in seconds.
    """

    def __init__(
        self, settings: Settings, run: Run = suggest_links, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._run = run
        self._clock = clock
        self._ended = clock()
        self._missing = "no run has ended yet"

    def not_ready(self) -> str:
        """Say why what is suggested may be old; empty if the last run went well."""
        return self._missing

    def age(self) -> float:
        """Return the seconds since a run went well, or since the start."""
        return self._clock() - self._ended

    def turn(self) -> None:
        """Suggest links once. While Kafka does not answer, what is suggested stands until the next turn.

        Raises
        ------
        AfreshError
            If a person must mend something first, such as a topic that is missing.
        """
        began = self._clock()
        try:
            done = self._run(self._settings)
        except UnavailableError as error:
            self._missing = f"the last run failed: {error}"
            logger.warning("Nothing was suggested; the next run tries again: %s", error)
            return
        self._missing, self._ended = "", self._clock()
        metrics.SUGGESTED_LINKS.set(done.links)
        metrics.SUGGEST_SECONDS.set(self._ended - began)
        logger.info("Suggested: %s", done.words(), extra={"seconds": round(self._ended - began, 1)})


def keep_suggesting(
    settings: Settings, rest: float, run: Run = suggest_links, wait: Callable[[float], None] = time.sleep
) -> NoReturn:
    """Suggest links forever, with ``rest`` seconds between two runs, and serve the page of metrics.

    Raises
    ------
    AfreshError
        If the port is taken, or a person must mend something else.
    """
    logs.set_up(settings)
    suggesting = Suggesting(settings, run)
    metrics.SUGGEST_AGE.set_function(suggesting.age)
    server = pages.serve(settings.metrics_host, settings.suggest_metrics_port, suggesting.not_ready)
    logger.info(
        "Suggesting links every %g minutes; metrics at http://%s:%d/metrics",
        *(rest / 60, settings.metrics_host, server.server_port),
    )
    try:
        while True:
            suggesting.turn()
            wait(rest)
    finally:
        server.shutdown()
        server.server_close()
