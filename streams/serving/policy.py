"""policy: what a list may hold and how it is arranged, beyond its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from afresh.state.records import LeaveOut
from afresh.streams.settings import EVERYWHERE, Settings


@dataclass(frozen=True)
class Policy:
    """How lists are chosen; by default what a user took is left out, and scores say the rest.

    Attributes
    ----------
    leave_out
        What is left out of a user's lists, by the domain of the item; ``*`` for all domains that are not named.
    diversity
        Of ``models.lists.diversity``; 0 for lists by score alone.
    exploration
        Share of places given to new items (``models.lists.exploration``).
    """

    leave_out: Mapping[str, LeaveOut] = field(default_factory=dict)
    diversity: float = 0.0
    exploration: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Policy of a deployment."""
        return cls(settings.leave_out, settings.diversity, settings.exploration)

    def rule(self, domain: str) -> LeaveOut:
        """What is left out of a domain."""
        return self.leave_out.get(domain, self.rule_elsewhere)

    @property
    def rule_elsewhere(self) -> LeaveOut:
        """What is left out of the domains that are not named."""
        return self.leave_out.get(EVERYWHERE, "taken")

    @property
    def rules(self) -> set[LeaveOut]:
        """All rules that there are."""
        return {self.rule_elsewhere, *self.leave_out.values()}

    @property
    def by_score(self) -> bool:
        """Whether lists are in the order of their scores."""
        return not self.diversity and not self.exploration


DEFAULT_POLICY = Policy()
