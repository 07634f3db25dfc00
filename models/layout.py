"""Sizes that stored rows depend on.

Rows are kept in tables and in Kafka's changelogs, longer than the program that wrote them runs, and hold arrays of
these sizes: ``HISTORY`` those of users (``state.rows.users``) and the examples made of them, the others those of items
(``state.rows.behaviour``). Under another size rows are misread, or refused for their length.

To change one, raise the version of the rows with it (``USER_ROW_VERSION``, ``BEHAVIOUR_ROW_VERSION``). Then either
bring older rows to the new layout as they are read, as ``state.rows.behaviour`` does with version 2, or raise the
oldest version that is read too: workers then leave such rows as they are, and say that the events are to be replayed
under another namespace (``state.versions``). Sizes of what every worker derives anew from rows, such as
``models.retrieval.asking.RELATED``, may change at any time.
"""

from __future__ import annotations

import numpy as np

HISTORY = 50
"""Items of a user that are remembered in order, newest first. An example carries them, its row learns from them, and
a list is made from them."""

NEIGHBOURS = 96
"""Neighbours of a row. With 64 the hit rate of the neighbours alone is .003 lower, without a limit .001 higher."""

TENURES = 10
"""Users are told apart by how many events they had: 0, 1, 2-3, 4-7, ..., 128-255, 256 and more."""

_HOUR_MS = 3_600_000.0
_DAY_MS = 24 * _HOUR_MS

HALF_LIVES_MS = np.array([30 * _DAY_MS, _DAY_MS, 2 * _HOUR_MS, 7 * _DAY_MS] + [30 * _DAY_MS] * TENURES)
"""Of the counts of an item: popular, trending, of this hour, of this week, and popular among users of each tenure.

Their number is that of the counts in a row. Counts are kept as of a time: under another half-life those of old rows
fade otherwise than they grew.
"""

HORIZONS = len(HALF_LIVES_MS) - TENURES
"""Counts that go over all users; those of the tenures stand behind them."""
