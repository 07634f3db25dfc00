"""Identities: which canonical user a platform's user is."""

from __future__ import annotations


class Identities:
    """The table of links, from ``platform:user`` to a canonical user; empty unless somebody links.

    Examples
    --------
    >>> identities = Identities()
    >>> identities.resolve("web", "ann")
    'web:ann'
    >>> identities.apply("web:ann", "person-7")
    >>> identities.resolve("web", "ann")
    'person-7'
    """

    def __init__(self) -> None:
        self._canonical: dict[str, str] = {}

    def resolve(self, platform: str, user: str) -> str:
        """Canonical user of a platform's user: ``platform:user`` unless linked."""
        name = f"{platform}:{user}"
        return self._canonical.get(name, name)

    def apply(self, name: str, canonical: str | None) -> None:
        """Take in a link of ``platform:user`` to a canonical user; None ends it."""
        if canonical is None:
            self._canonical.pop(name, None)
        else:
            self._canonical[name] = canonical

    def __len__(self) -> int:
        return len(self._canonical)
