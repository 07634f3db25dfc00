"""Records of the topic of the model: what is told, and under which key it is kept.

The topic is compacted. A version is kept in one of two slots, so that the one before stays whole until the new one is.
Revisions are kept by their sequence: those of the next version replace them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from afresh.state.model import told
from afresh.state.model.told import Message, Numbered, Revised, Told, Whole
from afresh.state.store.marks import OWN_KEYS
from afresh.streams.kafka.sender import OutgoingRecord

logger = logging.getLogger(__name__)

T = TypeVar("T")

Latest = Mapping[bytes, bytes | None]

LED = b"led"
"""Key of what a leader writes first. Once it has come back, the leader has seen all that others wrote before."""

WHOLE, REVISED = "whole", "revised/"
"""Key of the end of a version, and the beginning of the keys of its revisions."""


def record_of(message: Message, slot: int) -> OutgoingRecord:
    """Return the record of a message of a version that is kept in a slot.

    Examples
    --------
    >>> record_of(Whole(7, 1, 0, b""), 1).key
    b'whole'
    >>> record_of(Numbered(7, 4096, b""), 1).key
    b'numbered/1/4096'
    """
    match message:
        case Numbered() | Told():
            key = f"{type(message).__name__.lower()}/{slot}/{message.first}"
        case Whole():
            key = WHOLE
        case Revised():
            key = f"{REVISED}{message.sequence}"
    return OutgoingRecord(key.encode(), told.encode(message))


def names_standing(key: bytes) -> bool:
    """Whether the record of a key names the version that stands: it ends one, or revises it.

    Examples
    --------
    >>> [names_standing(key) for key in (b"whole", b"revised/3", b"numbered/0/4096", LED)]
    [True, True, False, False]
    """
    return key.startswith((WHOLE.encode(), REVISED.encode()))


def all_of(functions: Sequence[Callable[[T], None]]) -> Callable[[T], None]:
    """Return a function that calls some others, one after the other."""

    def call(argument: T) -> None:
        for function in functions:
            function(argument)

    return call


def applied(take: Callable[[Message], None], led: Callable[[bytes], None]) -> Callable[[Latest], None]:
    """Return a function that applies records of the topic.

    Parameters
    ----------
    take
        Takes in what the model tells.
    led
        Takes in what a leader wrote first.
    """

    def apply(latest: Latest) -> None:
        for key, value in latest.items():
            if value is None or key in OWN_KEYS:
                continue
            if key == LED:
                led(value)
                continue
            try:
                message = told.decoder.decode(value)
            except msgspec.MsgspecError as error:
                logger.warning(
                    "This version does not understand what the model tells (%s), and ignores it", error
                )
                continue
            take(message)

    return apply
