"""How large a record batch may be in each topic that we write, and what fits into one.

Kafka refuses a batch that is larger than ``max.message.bytes`` of its topic; where the topic has none of its own,
``message.max.bytes`` of the broker stands for it. A worker asks for it at start (``streams.kafka.safety``).
"""

from __future__ import annotations

from collections.abc import Mapping

from afresh.state.errors import AfreshError, StartAgainError
from afresh.state.store.changes import CHANGE_BYTES

DEFAULT_BYTES = 1_048_588
"""Limit of a topic for which nobody has set another."""

BATCH_BYTES = 1_000_000
"""Size up to which a record batch is filled at that limit, and at every larger one.

The rest is left to brokers that compress batches anew: what cannot be compressed becomes a little longer.
"""

LEAST_BYTES = 327_680
"""Least limit of a topic that we write.

The largest row and record that come from an event or item of 65,536 bytes (``AFRESH_TEXT_LIMIT_BYTES``) fit: a user's
row with the judge's state and marks of 1,024 partitions, and an item whose attributes are all numbers, which
become four times as long in the text that the encoder reads.
"""

PRODUCER_BYTES = 100 * 1024 * 1024
"""Largest batch that a producer builds, as large as a request that brokers take: the limit of the topic comes first."""

SETTING = "max.message.bytes"


class BatchLimits:
    """How large a record batch may be, by topic.

    Parameters
    ----------
    found
        The limits that Kafka has told. Kafka's default stands for those that it has not told.
    """

    def __init__(self, found: Mapping[str, int] | None = None) -> None:
        self._found = found or {}

    def takes(self, topic: str, size: int) -> bool:
        """Whether Kafka may take a batch of this size; where it has told no limit, only trying shows it."""
        return size <= self._found.get(topic, PRODUCER_BYTES)

    def filled(self, topic: str) -> int:
        """Return the size up to which a batch is filled.

        Examples
        --------
        >>> limits = BatchLimits({"small": 400_000})
        >>> limits.filled("small"), limits.filled("other")
        (381465, 1000000)
        """
        return min(BATCH_BYTES, BATCH_BYTES * self._found.get(topic, DEFAULT_BYTES) // DEFAULT_BYTES)

    def room(self, topic: str) -> int:
        """Return the most bytes of rows in one change: their marks and framing fit into the same batch.

        Examples
        --------
        >>> limits = BatchLimits({"small": 400_000, "large": 2_000_000})
        >>> limits.room("small"), limits.room("large")
        (286098, 750000)
        """
        return CHANGE_BYTES * self.filled(topic) // BATCH_BYTES

    def too_large(self, topic: str, size: int) -> AfreshError:
        """Return the error that ends a process at a batch that Kafka does not take."""
        limit = self._found.get(topic)
        if limit is not None and size <= limit:
            return StartAgainError(
                f"Kafka refuses a record batch of {size:,} bytes for {topic} as too large, though {SETTING} of the "
                f"topic was {limit:,} at the start; start again, so that smaller batches are written"
            )
        told = f"by default {DEFAULT_BYTES:,} bytes" if limit is None else f"{limit:,} bytes"
        return AfreshError(
            f"a record batch of {size:,} bytes for {topic} cannot be cut, and is larger than {SETTING} of the topic "
            f"({told}); {how_to_raise(topic, size)}, and start again"
        )


def how_to_raise(topic: str, least: int) -> str:
    """Say how a topic gets a larger limit."""
    return (
        f"raise it: kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic} "
        f"--add-config {SETTING}={max(2 * least, DEFAULT_BYTES)}"
    )
