"""What profile sends on: events and rows of accounts whose row is in another partition."""

from __future__ import annotations

from msgspec.structs import replace

from afresh.state.records import SENT_ON, TRANSFER, Interaction, Transfer, Way
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.streams import metrics
from afresh.streams.kafka.sender import Outgoing, OutgoingRecord, partition_of
from afresh.streams.messages import COMMAND_KEY, encode
from afresh.streams.topics import Topic


class SentOn:
    """Sends on what belongs to rows of other partitions.

    Parameters
    ----------
    partition
        Partition that it is sent on from.
    interactions
        Topic of interactions.
    outgoing
        Gets the records.
    """

    def __init__(self, partition: int, interactions: Topic, outgoing: Outgoing) -> None:
        self._partition = partition
        self._interactions = interactions
        self._outgoing = outgoing
        self._next = 0

    def begin(self, offset: int) -> None:
        """Begin with the record at an offset of the partition."""
        self._next = offset * SENT_ON

    def _way(self, number: int) -> Way:
        place, self._next = self._next, self._next + 1
        return Way(self._partition, place, number)

    def interaction(self, interaction: Interaction, number: int) -> None:
        """Send an interaction to the row of its user, after the moves up to a number."""
        metrics.SENT_ON.labels("interaction").inc()
        told = encode(replace(interaction, way=self._way(number)))
        self._outgoing.add_keyed(self._interactions.name, interaction.user.encode(), told)

    def transfer(self, to: str, account: str, part: UserRow, time: int, number: int) -> None:
        """Send what an account did to another user's row; see ``state.rows.moving.Send``."""
        metrics.SENT_ON.labels("row").inc()
        told = encode(Transfer(TRANSFER, time, to, account, users.pack(part), self._way(number)))
        partition = partition_of(to.encode(), self._interactions.partitions)
        self._outgoing.add_to_partition(self._interactions.name, partition, OutgoingRecord(COMMAND_KEY, told))
