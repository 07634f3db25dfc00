"""What is planned of encoders, as it comes through the topic ``encoders``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from afresh.state.encoders import Plan
from afresh.streams.messages import PLAN_KEY, plan_decoder

logger = logging.getLogger(__name__)


def planned(take: Callable[[Plan], None]) -> Callable[[Mapping[bytes, bytes | None]], None]:
    """Return a function that applies records of the topic; ``take`` gets each plan."""

    def apply(latest: Mapping[bytes, bytes | None]) -> None:
        value = latest.get(PLAN_KEY)
        if value is None:
            return
        try:
            plan = plan_decoder.decode(value)
        except msgspec.MsgspecError as error:
            logger.warning(
                "This version does not understand what is planned of encoders (%s), and ignores it", error
            )
            return
        take(plan)

    return apply
