"""Identities: map each user of a platform to a canonical user."""

from __future__ import annotations

from afresh.state.moments import OLDEST, Moment


class Identities:
    """The table of links from ``platform:user`` to a canonical user; empty until somebody sets a link.

    Examples
    --------
    >>> identities = Identities()
    >>> identities.resolve("web", "ann")
    'web:ann'
    >>> identities.apply("web:ann", "person-7", Moment(1, 0, 0))
    >>> identities.resolve("web", "ann")
    'person-7'
    """

    def __init__(self) -> None:
        self._canonical: dict[str, str] = {}
        self._moments: dict[str, Moment] = {}

    def resolve(self, platform: str, user: str) -> str:
        """Return the canonical user of a platform's user: ``platform:user`` unless it is linked."""
        name = f"{platform}:{user}"
        return self._canonical.get(name, name)

    def apply(self, name: str, canonical: str | None, moment: Moment) -> None:
        """Set the link of ``platform:user`` to a canonical user, or with None remove it, unless a newer record did."""
        if moment < self._moments.get(name, OLDEST):
            return
        # Kept of a removed link, too: an older record of it may yet come through another partition.
        self._moments[name] = moment
        if canonical is None:
            self._canonical.pop(name, None)
        else:
            self._canonical[name] = canonical

    def __len__(self) -> int:
        return len(self._canonical)
