"""Sizes that stored rows depend on.

Tables and Kafka's changelogs keep rows longer than the program that wrote them runs. The rows hold arrays of these
sizes. ``HISTORY`` is for the rows of users (``state.rows.users``) and the examples made from them. The other sizes are
for the rows of items (``state.rows.behaviour``). With another size rows are misread, or refused for their length.

To change a size, raise the version of the rows with it (``USER_ROW_VERSION``, ``BEHAVIOUR_ROW_VERSION``). Then choose:

* convert older rows to the new layout when they are read, as ``state.rows.behaviour`` does with version 2; or
* raise the oldest version that is read, too. Workers then leave older rows as they are, and tell the user to replay
  the events under another namespace (``state.versions``).

Some sizes belong to what every worker derives anew from rows, such as ``models.retrieval.asking.RELATED``. They may
change at any time.
"""

from __future__ import annotations

import numpy as np

HISTORY = 50
"""Length of a user's history: the newest items taken, in order, newest first. An example carries the history, the row
of its item learns from it, and a list is made from it."""

NEIGHBOURS = 96
"""Neighbours that an item's row keeps. With 64 the hit rate of the neighbours alone is .003 lower; without a limit it
is .001 higher."""

TENURES = 10
"""Number of tenures. A tenure is a bucket of how many items a user has taken: 0, 1, 2-3, 4-7, ..., 128-255, 256 and
more."""

_HOUR_MS = 3_600_000.0
_DAY_MS = 24 * _HOUR_MS

HALF_LIVES_MS = np.array([30 * _DAY_MS, _DAY_MS, 2 * _HOUR_MS, 7 * _DAY_MS] + [30 * _DAY_MS] * TENURES)
"""Half-lives of the counts of an item: popular, trending, this hour, this week, and popular in each tenure.

A row has one count for each of them. Counts are kept as of a time. With another half-life the counts of old rows would
fade at another pace than they grew.
"""

HORIZONS = len(HALF_LIVES_MS) - TENURES
"""Number of counts that cover all users. The counts of the tenures come after them."""
