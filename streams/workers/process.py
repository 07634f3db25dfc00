"""Runs a process: serves its page, says when it is ready, and decides how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import NoReturn

import faust
from threadpoolctl import threadpool_limits

from afresh.streams.kafka.app import App
from afresh.streams.kafka.ending import log_meaning, meaning_of, status_of
from afresh.streams.settings import Settings
from afresh.streams.workers import pages
from afresh.streams.workers.disk import show_disk

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks whether the process is ready."""


def execute(app: App, settings: Settings, port: int, not_ready: Callable[[], str]) -> NoReturn:
    """Run an app, with its page, until it is told to stop; its log is set up.

    Parameters
    ----------
    app, settings
        The app, and the settings of the deployment.
    port
        Port of the page.
    not_ready
        Says what is not ready yet; /ready calls it.

    Raises
    ------
    AfreshError
        When the port is taken, or the app ended because of a problem that a person can mend, or of a change that only
        needs another start.
    SystemExit
        At every other end, with the exit status of the process.
    """
    show_disk(settings.data_dir.expanduser())
    server = pages.serve(settings.metrics_host, port, not_ready)
    logger.info(
        "afresh %s starts in namespace %s, whose topics have %d partitions; metrics at http://%s:%d/metrics",
        *(version("afresh"), settings.namespace, settings.partitions),
        *(settings.metrics_host, server.server_port),
        extra={"version": version("afresh"), "namespace": settings.namespace},
    )
    app.task(partial(_tell_readiness, not_ready))
    collect_garbage_seldom()
    # One BLAS thread: lists are made in small batches, for which more threads cost more than they gain.
    with threadpool_limits(1):
        worker = faust.Worker(
            app, loglevel=settings.log_level, redirect_stdouts=False, override_logging=False
        )
        # The spinner writes to stdout, and would crash the start on a full disk. Logging survives a full disk.
        worker.spinner = None
        app.told_to_stop = lambda: worker._signal_stop_time is not None
        try:
            worker.execute_from_commandline()
        except SystemExit as ended:
            # What failed before anything ran is no crash to Faust.
            reason = app.told(worker.crash_reason or (ended.__context__ if ended.code else None))
            status = ended.code if reason is None else status_of(reason, told=app.told_to_stop())
            meaning = meaning_of(reason)
            if meaning is not None and status:
                log_meaning(logger, meaning)
                raise meaning from None
            if not status:
                app.course.stopped(committed=app.has_committed())
            raise SystemExit(status) from None


async def _tell_readiness(not_ready: Callable[[], str]) -> None:
    """Say when the process becomes ready, and when it is not ready any more, forever."""
    told = ""
    while True:
        missing = not_ready()
        # Behind the colon stand details, which change with every look.
        if (kind := missing.partition(":")[0] or "ready") != told:
            told = kind
            logger.info("Not ready: %s", missing) if missing else logger.info("Ready")
        await asyncio.sleep(LOOK_SECONDS)


def collect_garbage_seldom() -> None:
    """Exempt objects that live forever from garbage collection, and collect seldom.

    The default settings cost a fifth of the time of the profile stage.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
