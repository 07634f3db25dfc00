"""Rolls the weights back by hand.

The command is a record among the judged examples. The worker that learns the weights obeys it exactly once.
"""

from __future__ import annotations

import time

from kafka.errors import KafkaError

from afresh.deploy.feeds.feed import producer
from afresh.state.errors import AfreshError
from afresh.streams.kafka.rights import refusal
from afresh.streams.messages import COMMAND_KEY, ROLL_BACK, Command, encode
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics

ANSWER_SECONDS = 30.0


def roll_back(settings: Settings) -> None:
    """Tell the worker that learns the weights to go back to the last good snapshot.

    Raises
    ------
    AfreshError
        If Kafka does not accept the record.
    """
    topic = Topics(settings).judged
    value = encode(Command(ROLL_BACK, int(time.time() * 1000)))
    with producer(settings, topic) as opened:
        try:
            sent = opened.send(topic.name, value, key=COMMAND_KEY, partition=FIRST_PARTITION)
            sent.get(timeout=ANSWER_SECONDS)
        except KafkaError as error:
            if refusal(error) is not None:
                raise
            raise AfreshError(
                f"Kafka did not accept the command ({error}); look at afresh status before you try again"
            ) from error
