"""policy: the rules for what a list may hold, and how it is arranged besides its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from afresh.state.records import LeaveOut
from afresh.streams.settings import EVERYWHERE, Settings


@dataclass(frozen=True)
class Policy:
    """Rules for lists; by default, items that the user took are left out, and scores decide the rest.

    Attributes
    ----------
    leave_out
        Which items are left out of a user's lists, by the item's domain; ``*`` stands for all domains not named.
    diversity
        How strongly similar items are avoided (``models.lists.diversity``); 0: the scores alone decide.
    exploration
        Share of places given to new items (``models.lists.exploration``).
    """

    leave_out: Mapping[str, LeaveOut] = field(default_factory=dict)
    diversity: float = 0.0
    exploration: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Make the policy that the settings describe."""
        return cls(settings.leave_out, settings.diversity, settings.exploration)

    def rule(self, domain: str) -> LeaveOut:
        """Return the rule of a domain."""
        return self.leave_out.get(domain, self.rule_elsewhere)

    @property
    def rule_elsewhere(self) -> LeaveOut:
        """Rule of the domains that are not named."""
        return self.leave_out.get(EVERYWHERE, "taken")

    @property
    def rules(self) -> set[LeaveOut]:
        """All rules in use."""
        return {self.rule_elsewhere, *self.leave_out.values()}

    @property
    def by_score(self) -> bool:
        """Whether the scores alone decide the order of lists."""
        return not self.diversity and not self.exploration


DEFAULT_POLICY = Policy()
