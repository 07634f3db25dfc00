"""Identities: map each user of a platform to a canonical user."""

from __future__ import annotations


class Identities:
    """The table of links from ``platform:user`` to a canonical user; empty until somebody sets a link.

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
        """Return the canonical user of a platform's user: ``platform:user`` unless it is linked."""
        name = f"{platform}:{user}"
        return self._canonical.get(name, name)

    def apply(self, name: str, canonical: str | None) -> None:
        """Set the link of ``platform:user`` to a canonical user; None removes it."""
        if canonical is None:
            self._canonical.pop(name, None)
        else:
            self._canonical[name] = canonical

    def __len__(self) -> int:
        return len(self._canonical)
