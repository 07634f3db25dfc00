"""Logs: one line for each event, as text for a terminal or as JSON for what collects logs.

A line is a sentence. What a program looks for in it stands beside it: whoever logs gives ``extra=`` with names of
``FIELDS``, and a line of JSON has them as fields of their own.
"""

from __future__ import annotations

import logging
import time

from pythonjsonlogger.json import JsonFormatter

from afresh.streams.settings import Settings
from afresh.streams.workers.quiet import Seldom

FIELDS = {
    "version": "version of afresh",
    "namespace": "`AFRESH_NAMESPACE`",
    "stage": "stage that the line is about",
    "topic": "topic that the line is about",
    "partition": "partition that the line is about",
    "offset": "offset of the record, or of the first record of the run, that the line is about",
    "partitions": "partitions that the line is about",
    "gained": "partitions that this process has now and had not before",
    "lost": "partitions that it had before and has not now",
    "records": "number of records",
    "seconds": "time that something took, in seconds",
}
"""Fields of a line besides time, level, logger, message and exception, with their meaning."""

NOISY_LOGGERS = ("aiokafka", "kafka", "faust.transport", "faust.tables.recovery", "mode")

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

JSON_NAMES = {
    "asctime": "time",
    "levelname": "level",
    "name": "logger",
    "message": "message",
    "exc_info": "exception",
    "stack_info": "stack",
}
"""Names in a line of JSON, by the names of Python's ``logging``."""


class JsonLines(JsonFormatter):
    """Formats a record as one line of JSON, with its time in RFC 3339 in UTC, to the millisecond."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        always = ["asctime", "levelname", "name", "message"]
        super().__init__(always, rename_fields=JSON_NAMES, json_ensure_ascii=False)


def set_up(settings: Settings) -> None:
    """Let this process write its log to stderr, in the format and from the level that the settings name."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(TEXT))
    handler.addFilter(Seldom(everything=settings.log_level == "DEBUG"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    # Python writes its warnings to stderr past the log: two lines each, and neither of them is JSON.
    logging.captureWarnings(True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
