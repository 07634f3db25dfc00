"""Row of the weights: what every worker follows to make lists."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from afresh.models import scorers
from afresh.models.arrays import Doubles
from afresh.models.fusion.features import CONTEXT, FEATURES_PER_SCORER
from afresh.models.fusion.weights import Weights
from afresh.state.versions import known_layout, unpack_known

WEIGHTS_KEY = b"weights"
"""Key of the row; there is only one."""

WEIGHTS_VERSION = 1


class WeightsRow(msgspec.Struct, array_like=True):
    """The weights as they are stored.

    Attributes
    ----------
    version
        Version of this layout.
    scorers
        Names of the scorers that are weighed.
    omega
        Omega of ``models.fusion.weights``, float64.
    changes
        How often the weights have changed: the version that lists name.
    received
        When Kafka took the event of the newest example that was counted, in ms.
    """

    version: int
    scorers: list[str]
    omega: bytes
    changes: int
    received: int


class Published(NamedTuple):
    """Weights, and when Kafka took the event of the newest example that was counted for them, in ms."""

    weights: Weights
    received: int


_decoder = msgspec.msgpack.Decoder(WeightsRow)
_encode = msgspec.msgpack.Encoder().encode


def pack(weights: Weights, received: int) -> bytes:
    """Pack the row."""
    omega = weights.omega.astype("<f8").tobytes()
    return _encode(WeightsRow(WEIGHTS_VERSION, list(scorers.NAMES), omega, weights.version, received))


def unpack(packed: bytes) -> Published:
    """Unpack the row. Where it weighs other scorers, those that it does not weigh have the weights of their priors.

    Raises
    ------
    RowVersionError
        A newer version of this program wrote it, or its layout is not known.
    """
    row = unpack_known(_decoder, packed, "The row of the weights", WEIGHTS_VERSION)
    omega = scorers.prior()
    theirs, ours = scorers.shared_features(row.scorers)
    with known_layout("The row of the weights"):
        omega[:, ours] = _omega_of(row)[:, theirs]
    return Published(Weights(omega, row.changes), row.received)


def _omega_of(row: WeightsRow) -> Doubles:
    return np.frombuffer(row.omega, "<f8").reshape(len(CONTEXT), FEATURES_PER_SCORER * len(row.scorers))
