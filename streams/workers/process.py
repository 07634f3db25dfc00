"""Runs a process: sets up its log and its page, and decides how it ends."""

from __future__ import annotations

import gc
import logging
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import NoReturn

import faust
from threadpoolctl import threadpool_limits

from afresh.state.errors import MEND_STATUS
from afresh.streams import metrics
from afresh.streams.kafka.app import App
from afresh.streams.kafka.ending import meaning_of, status_of
from afresh.streams.settings import Settings
from afresh.streams.workers import pages
from afresh.streams.workers.disk import show_disk
from afresh.streams.workers.quiet import Seldom

logger = logging.getLogger(__name__)

NOISY_LOGGERS = ("aiokafka", "kafka", "faust.transport", "faust.tables.recovery", "mode")


def execute(app: App, settings: Settings, port: int, not_ready: Callable[[], str]) -> NoReturn:
    """Run an app, with its page, until it is told to stop.

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
    metrics.BUILD.info(
        {"version": version("afresh"), "python": platform.python_version(), "faust": faust.__version__}
    )
    show_disk(settings.data_dir.expanduser())
    server = pages.serve(settings.metrics_host, port, not_ready)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Seldom())
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logger.info("metrics at http://%s:%d/metrics", settings.metrics_host, server.server_port)
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
            if reason is None:
                raise
            meaning, status = meaning_of(reason), status_of(reason, told=app.told_to_stop())
            if meaning is not None and status:
                logger.log(logging.ERROR if status == MEND_STATUS else logging.WARNING, "%s", meaning)
                raise meaning from None
            raise SystemExit(status) from None


def collect_garbage_seldom() -> None:
    """Exempt objects that live forever from garbage collection, and collect seldom.

    The default settings cost a fifth of the time of the profile stage.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
