"""A claim: the right to write one changelog partition, until its lease is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from faust.types import TP

from afresh.state.store.marks import CLAIM_KEY
from afresh.streams.kafka.lease import Lease
from afresh.streams.kafka.sender import FencedError, OutgoingRecord, Sender

RECORD = OutgoingRecord(CLAIM_KEY, None)
"""Written with each new epoch. From then on, the leader of the partition refuses earlier ones."""

RENEWAL_WAIT_SECONDS = 0.05


class Claim:
    """The only way to write a changelog partition.

    Parameters
    ----------
    tp
        The changelog partition.
    sender
        Sends with the epoch of the claim.
    lease
        Begun before Kafka was asked for the epoch.
    """

    def __init__(self, tp: TP, sender: Sender, lease: Lease) -> None:
        self._tp = tp
        self._sender = sender
        self._lease = lease
        self._given_up = False
        self._end: int | None = None
        # One batch at a time, and none while the claim is renewed: a batch of the old epoch would be refused.
        self._sending = asyncio.Lock()

    async def write(self) -> None:
        """Write the record of the claim.

        Raises
        ------
        FencedError
            When another process has claimed the partition in the meantime.
        """
        await self.renew(self._sender, self._lease)

    async def renew(self, sender: Sender, lease: Lease) -> None:
        """Write the record of a later epoch, and go on with that epoch.

        Raises
        ------
        FencedError
            When anybody else has written to the partition: our rows may not be the newest.
        """
        async with self._sending:
            first = await sender.send_whole(*self._tp, [RECORD])
            if self._end not in (None, first):
                raise FencedError(*self._tp, "has records of another writer")
            self._sender, self._lease = sender, lease
            self._note_end(first, 1)

    async def send_whole(self, topic: str, partition: int, records: Sequence[OutgoingRecord]) -> int:
        """Send records as ``Sender.send_whole`` does; once the lease is over, wait until the claim is renewed.

        Raises
        ------
        AfreshError
            When the records do not fit into one batch, or Kafka refuses it for good.
        FencedError
            When the partition was claimed anew, or the lease ended while Kafka did not take the batch.
        """
        while True:
            async with self._sending:
                if self._given_up:
                    raise FencedError(topic, partition)
                if not self._lease.is_over():
                    self._end = None
                    first = await self._sender.send_whole(topic, partition, records, self._lease)
                    self._note_end(first, len(records))
                    return first
            await asyncio.sleep(RENEWAL_WAIT_SECONDS)

    def give_up(self) -> None:
        """Write nothing more."""
        self._given_up = True

    def _note_end(self, first: int, count: int) -> None:
        self._end = None if first < 0 else first + count
