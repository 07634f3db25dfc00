"""Encoders: which ones are wanted, and which one lists are made from."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

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

    def wants(self, encoder: Named, time: int) -> Plan:
        """Return the plan in which an encoder is the newest, and lists change over to it once it has read enough."""
        others = [each for each in self.wanted if each.version != encoder.version]
        return replace(self, wanted=[encoder, *others[:2]], use="", time=time)

    def is_done(self, used: str, age_ms: float, keep_ms: float) -> bool:
        """Whether older versions than the newest are not kept any more.

        Parameters
        ----------
        used, age_ms
            Version that lists are made from, and for how long they have been.
        keep_ms
            How long older versions are kept after lists have changed over to the newest one.
        """
        return used == self.newest and age_ms >= keep_ms


def announced(plan: Plan | None, own: Named, time: int) -> Plan | None:
    """Return the plan that follows from the encoder that the settings name; None if what is planned stands.

    Examples
    --------
    >>> plan = announced(None, Named("minilm", "1"), 5)
    >>> plan.wanted, announced(plan, Named("minilm", "1"), 6)
    ([Named(name='minilm', version='1')], None)
    >>> [each.version for each in announced(plan, Named("universal", "2"), 7).wanted]
    ['2', '1']
    """
    if plan is None:
        return Plan([own], time=time, setting=own.version)
    if not plan.setting:
        # Somebody has planned before any embed worker ran.
        others = [each for each in plan.wanted if each.version != own.version]
        return replace(plan, wanted=[*others, own], setting=own.version)
    if plan.setting == own.version:
        return None
    return replace(plan.wants(own, time), setting=own.version)


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
