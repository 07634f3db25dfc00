"""Rolls the weights back by hand.

Each partition of the interactions gets one record with the command. The partition's owner obeys it exactly once.
"""

from __future__ import annotations

import time

from kafka.errors import KafkaError

from afresh.deploy.feeds.feed import producer
from afresh.state.errors import AfreshError
from afresh.streams.kafka.rights import refusal
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, Command, encode
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

ANSWER_SECONDS = 30.0


def roll_back(settings: Settings) -> int:
    """Tell the owner of every partition to go back to its last good snapshot; return how many were told.

    Raises
    ------
    AfreshError
        If Kafka does not accept a record.
    """
    topic = Topics(settings).interactions
    value = encode(Command(ROLL_BACK, int(time.time() * 1000)))
    told = 0
    with producer(settings, topic) as opened:
        for partition in range(settings.partitions):
            try:
                sent = opened.send(topic.name, value, key=COMMAND_KEY, partition=partition)
                sent.get(timeout=ANSWER_SECONDS)
            except KafkaError as error:
                if refusal(error) is not None:
                    raise
                raise AfreshError(
                    f"Kafka did not accept the command for partition {partition} ({error}). {told} of "
                    f"{settings.partitions} partitions go back; look at afresh status before you try again"
                ) from error
            told += 1
    return told
