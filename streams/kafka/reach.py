"""What one entry of the table of internals says; see ``streams.kafka.internals``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NONE_FOUND = "none found"

Names = Mapping[str, str]
"""Full names in a library, each with its kind: the signature of a function, without types, or the type of a value."""


@dataclass(frozen=True)
class Reach:
    """One reason to reach into a library, and the names that it needs.

    Attributes
    ----------
    where
        Our file.
    why
        What would go wrong otherwise.
    test
        Test that shows the failure: file and name.
    overrides
        Methods and attributes that our subclass overrides.
    sets
        Attributes of the library that we assign to.
    uses
        Undocumented names that we call or read.
    issue
        Issue of the library about it, if there is one.
    """

    where: str
    why: str
    test: str
    overrides: Names = field(default_factory=dict)
    sets: Names = field(default_factory=dict)
    uses: Names = field(default_factory=dict)
    issue: str = NONE_FOUND

    @property
    def names(self) -> Names:
        """All names that are reached into."""
        return {**self.overrides, **self.sets, **self.uses}


def of(owner: str, **members: str) -> Names:
    """Return members of a class or a module by their full names.

    Examples
    --------
    >>> of("a.B", c="(self)")
    {'a.B.c': '(self)'}
    """
    return {f"{owner}.{name}": what for name, what in members.items()}
