"""Judged examples: what judges say of the items taken, on its way to the one who learns the weights from it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from afresh.models import scorers
from afresh.models.arrays import Integers
from afresh.models.fusion.features import CONTEXT, FEATURES_PER_SCORER
from afresh.models.fusion.fusion import Lesson
from afresh.state.judged.verdicts import RANKINGS
from afresh.state.versions import unpack_known

JUDGED_VERSION = 1

UNJUDGED, JUDGED, TAUGHT, BROKEN = range(4)
"""What became of an example: no list was remembered to judge it by; it was judged; it was judged and teaches something;
it was judged, and a scorer had no number for one of the candidates, so that it must not teach."""

EXAMPLE = np.dtype(
    [
        ("received", "<i8"),
        ("item", "<u8"),
        ("made_with", "<i8"),
        ("user_took", "<u4"),
        ("item_taken", "<u4"),
        ("domain", "<u2"),
        ("platform", "<u2"),
        ("became", "u1"),
        ("ranks", "u1", (len(RANKINGS),)),
        ("trust", "<f4"),
        ("situation", "<f4", (len(CONTEXT),)),
        ("gradient", "<f4", (FEATURES_PER_SCORER * len(scorers.NAMES),)),
    ]
)
"""One judged example.

``received`` is the time at which Kafka took the event, in ms. ``item`` is the key of the item taken, and ``made_with``
the version of the weights that the list was made with. ``user_took`` and
``item_taken`` say how many items the user had taken before, and how often the item had been taken. ``domain`` and
``platform`` are numbers in the record. ``ranks`` holds the place, from 0, that each of ``RANKINGS`` gave to the item.
The rest is a ``Lesson``.
"""

EXAMPLES_IN_RECORD = 512
"""Most examples in a record: some 130 kB."""

JudgedArray = npt.NDArray[np.void]


class JudgedExamples(msgspec.Struct, frozen=True, array_like=True):
    """Examples of one partition, in the order of its interactions.

    Attributes
    ----------
    version
        Version of this layout.
    source, incarnation
        Partition of the interactions, and the incarnation of their topic.
    scorers
        Names of the scorers that ranked the candidates, and whose weights are taught.
    domains, platforms
        Names of the domains and platforms in the examples.
    offsets
        Offset of each example's interaction, int64, shape (n,).
    packed
        The examples; see ``EXAMPLE``. The layout depends on the scorers.
    """

    version: int
    source: int
    incarnation: int
    scorers: list[str]
    domains: list[str]
    platforms: list[str]
    offsets: bytes
    packed: bytes

    def of_our_scorers(self) -> bool:
        """Return whether the examples are about the scorers of this program."""
        return self.scorers == list(scorers.NAMES)

    def places(self) -> Integers:
        """Return the offsets of the examples, shape (n,)."""
        return np.frombuffer(self.offsets, "<i8")

    def examples(self) -> JudgedArray:
        """Return the examples, shape (n,).

        Raises
        ------
        ValueError
            The bytes are no examples of our scorers.
        """
        return np.frombuffer(self.packed, EXAMPLE)


_decoder = msgspec.msgpack.Decoder(JudgedExamples)
_encode = msgspec.msgpack.Encoder().encode


def unpack(packed: bytes) -> JudgedExamples:
    """Unpack a record.

    Raises
    ------
    RowVersionError
        A newer program made it.
    """
    return unpack_known(_decoder, packed, "A record of judged examples", JUDGED_VERSION)


class Collected:
    """Judged examples that are sent together.

    Parameters
    ----------
    source
        Partition of their interactions.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._domains: dict[str, int] = {}
        self._platforms: dict[str, int] = {}
        self._offsets: list[int] = []
        self._examples: list[dict[str, Any]] = []

    def add(self, offset: int, domain: str, platform: str, fields: dict[str, Any]) -> None:
        """Add an example; ``fields`` are those of ``EXAMPLE`` without domain and platform, 0 if left out."""
        self._offsets.append(offset)
        fields["domain"] = self._domains.setdefault(domain, len(self._domains))
        fields["platform"] = self._platforms.setdefault(platform, len(self._platforms))
        self._examples.append(fields)

    def _array(self) -> JudgedArray:
        array = np.zeros(len(self._examples), EXAMPLE)
        for place, fields in enumerate(self._examples):
            example = array[place]
            for name, value in fields.items():
                example[name] = value
        return array

    def records(self, incarnation: int) -> list[bytes]:
        """Pack the examples into records, given the incarnation of the topic of interactions."""
        return [_encode(each) for each in self.together(incarnation)]

    def together(self, incarnation: int) -> list[JudgedExamples]:
        """Return the examples as records, given the incarnation of the topic of interactions."""
        array, offsets = self._array(), np.array(self._offsets, "<i8")
        return [
            JudgedExamples(
                JUDGED_VERSION,
                self._source,
                incarnation,
                list(scorers.NAMES),
                list(self._domains),
                list(self._platforms),
                offsets[start : start + EXAMPLES_IN_RECORD].tobytes(),
                array[start : start + EXAMPLES_IN_RECORD].tobytes(),
            )
            for start in range(0, len(array), EXAMPLES_IN_RECORD)
        ]


def lesson_of(example: np.void, source: int) -> Lesson:
    """Return what an example teaches."""
    return Lesson(
        source,
        int(example["item"]),
        float(example["trust"]),
        example["situation"].copy(),
        example["gradient"].copy(),
    )
