"""Rolls the weights back by hand.

The command is a record among the judged examples. The worker that learns the weights obeys it exactly once.
"""

from __future__ import annotations

import time

from afresh.deploy.feeds.feed import command
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, Command, encode
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics


def roll_back(settings: Settings) -> None:
    """Tell the worker that learns the weights to go back to the last good snapshot.

    Raises
    ------
    AfreshError
        If Kafka does not accept the record.
    """
    told = encode(Command(ROLL_BACK, int(time.time() * 1000)))
    command(settings, Topics(settings).judged, FIRST_PARTITION, COMMAND_KEY, told, "afresh status")
