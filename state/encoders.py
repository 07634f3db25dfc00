"""Encoders: which ones are wanted, and which one lists are made from."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

THRESHOLD = 0.95
"""Share of the items with a vector that a newer encoder must have read before lists are made from it."""


class Named(Struct, frozen=True, array_like=True):
    """An encoder: its name, as a setting has it, and its version."""

    name: str
    version: str


class Plan(Struct, frozen=True, array_like=True):
    """What is wanted of encoders.

    Attributes
    ----------
    wanted
        Encoders that read all texts, the newest first; at least one.
    use
        Version that lists are made from; empty: the newest one that is wanted, once its coverage passes the threshold.
    threshold
        See ``THRESHOLD``.
    time
        When this was planned, in ms.
    setting
        Version that ``AFRESH_ENCODER`` stood for then: when it stands for another one, that is planned anew.
    """

    wanted: list[Named]
    use: str = ""
    threshold: float = THRESHOLD
    time: int = 0
    setting: str = ""

    @property
    def newest(self) -> str:
        """Version of the newest encoder that is wanted."""
        return self.wanted[0].version


def choose(plan: Plan | None, coverage: Mapping[str, float], now: str) -> str:
    """Choose the version of the encoder that lists are made from.

    Parameters
    ----------
    plan
        What is wanted; None: nobody has planned anything.
    coverage
        For each version the share of the items with any vector that have one of it.
    now
        Version that lists are made from until now; empty: whichever has read most items.

    Examples
    --------
    >>> plan = Plan([Named("universal", "2"), Named("minilm", "1")])
    >>> choose(plan, {"1": 1.0, "2": 0.94}, "1"), choose(plan, {"1": 1.0, "2": 0.96}, "1")
    ('1', '2')

    What has been changed to stays, also when many new items come:

    >>> choose(plan, {"1": 1.0, "2": 0.8}, "2")
    '2'
    """
    if plan is None:
        return now
    if plan.use in coverage:
        return plan.use
    if plan.newest in coverage and (now == plan.newest or coverage[plan.newest] >= plan.threshold):
        return plan.newest
    return now if now in coverage else max(sorted(coverage), key=coverage.__getitem__, default=now)
