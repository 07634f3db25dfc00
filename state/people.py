"""People: which accounts are one person's. It follows from the links that stand, and from nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, get_args

from afresh.state.records import Move, MoveName

Kind = Literal["login", "device", "household", "told"]
"""How it is known that two accounts are one person's; ``told`` are links to a canonical user, as 0.1.0 had them."""

LEAST_CONFIDENCE = 0.9
"""Confidence from which on a device makes two accounts one person."""

MOST_ACCOUNTS = 64
"""Most accounts of a person. If links join more, they say nothing of any of them."""

Sign = Literal["login", "device", "household"]
"""What links say of themselves, and are counted by."""

MOST_LINKS: dict[Sign, int] = {"login": 32, "device": 8}
"""Most links of an account by logins, and by devices. With more it is a hub, such as a device in a shop."""


class Tie(NamedTuple):
    """A link between two accounts.

    Attributes
    ----------
    kind, confidence
        How it is known, and how surely.
    time
        Since when, in ms since 1970.
    """

    kind: Kind
    confidence: float
    time: int

    @property
    def sign(self) -> Sign:
        """Return what it is counted with: who was told is counted with logins."""
        return "login" if self.kind == "told" else self.kind


class Pair(NamedTuple):
    """The two accounts of a link, the smaller name first; of a told one, the account and the canonical user."""

    one: str
    other: str
    told: bool = False


Pairs = set[Pair]


class Renamed(NamedTuple):
    """An account whose canonical user has changed."""

    account: str
    before: str
    after: str


Step = tuple[MoveName, str, str, str]
"""Name of a move, the row that obeys it, the account, and where it goes."""


class Person(NamedTuple):
    """The accounts of a person, and the canonical user.

    ``too_many`` says that links join more than ``MOST_ACCOUNTS``, so that each account stands alone.
    """

    canonical: str
    accounts: tuple[str, ...]
    too_many: bool = False


class Sizes:
    """How many people there are, by how many accounts they have.

    Attributes
    ----------
    people
        Number of people who have more than one account, by their number of accounts.
    apart
        Number of accounts that stand alone because links join too many.
    """

    def __init__(self) -> None:
        self.people: Counter[int] = Counter()
        self.apart = 0

    def count(self, persons: Iterable[Person], sign: Literal[1, -1]) -> None:
        """Count some persons in, or out; each counts once, however often it comes."""
        for person in set(persons):
            if person.too_many:
                self.apart += sign
            elif (size := len(person.accounts)) > 1:
                self.people[size] += sign

    @property
    def largest(self) -> int:
        """Return the number of accounts of the person who has most; 0 if nobody has more than one."""
        return max(+self.people, default=0)


class People:
    """The links that stand, and who is one person by them.

    Attributes
    ----------
    kinds
        Number of links by their kind.
    hubs
        Number of accounts whose links of a sign do not count, because they are too many.
    sizes
        How many people there are. Whoever calls ``put`` has it counted anew by ``count_people``.

    Examples
    --------
    >>> people = People()
    >>> people.set(Pair("app:7", "web:ann"), Tie("login", 1.0, 5))
    [Renamed(account='web:ann', before='web:ann', after='app:7')]
    >>> people.person("web:ann").accounts
    ('app:7', 'web:ann')
    """

    def __init__(self) -> None:
        self._ties: dict[Pair, Tie] = {}
        self._near: defaultdict[tuple[str, Sign], Pairs] = defaultdict(Pairs)
        self.kinds: Counter[str] = Counter()
        self.hubs = 0
        self.sizes = Sizes()

    def set(self, pair: Pair, tie: Tie | None) -> list[Renamed]:
        """Set a link, or with None end it; return the accounts whose canonical user changes, by name."""
        if self._ties.get(pair) == tie:
            return []
        before = self.concerned(pair)
        self.put(pair, tie)
        after = self.concerned(pair)
        for each in before:
            if each not in after:
                after |= _by_account(self.person(each))
        for each in after.keys() - before.keys():
            # Whoever was in nobody's reach before stood alone, because links joined too many.
            before[each] = Person(each, (each,), too_many=True)
        self.sizes.count(before.values(), -1)
        self.sizes.count(after.values(), 1)
        names = ((each, before[each].canonical, after[each].canonical) for each in sorted(after))
        return [Renamed(each, was, now) for each, was, now in names if was != now]

    def put(self, pair: Pair, tie: Tie | None) -> None:
        """Set a link, or with None end it, and do not ask whom it concerns."""
        if (known := self._ties.pop(pair, None)) is not None:
            self.kinds[known.kind] -= 1
            self._change_ends(pair, known.sign, Pairs.discard)
        if tie is not None:
            self._ties[pair] = tie
            self.kinds[tie.kind] += 1
            self._change_ends(pair, tie.sign, Pairs.add)

    def _change_ends(self, pair: Pair, sign: Sign, change: Callable[[Pairs, Pair], None]) -> None:
        for end in pair[:2]:
            self.hubs -= self.is_hub(end, sign)
            change(self._near[end, sign], pair)
            self.hubs += self.is_hub(end, sign)

    def count_people(self) -> Iterator[Person]:
        """Count anew how many people there are, as the caller goes through them."""
        self.sizes, seen = Sizes(), set[str]()
        for account in self.linked():
            if account not in seen:
                person = self.person(account)
                seen.update(person.accounts)
                self.sizes.count([person], 1)
                yield person

    def concerned(self, pair: Pair) -> dict[str, Person]:
        """Return the person of each account that a change of a link may concern.

        One link more or less may make an end a hub, or no hub any more: that concerns all that it is linked with.
        """
        found: dict[str, Person] = {}
        ends = {*pair[:2]}
        for end in pair[:2]:
            for sign in MOST_LINKS:
                near = self._near.get((end, sign), Pairs())
                if len(near) <= MOST_LINKS[sign] + 1:
                    ends |= {each for other in near for each in other[:2]}
        for end in ends:
            if end not in found:
                found |= _by_account(self.person(end))
        return found

    def is_hub(self, account: str, sign: Sign) -> bool:
        """Tell whether an account has so many links of a sign that none of them counts."""
        return sign in MOST_LINKS and len(self._near.get((account, sign), ())) > MOST_LINKS[sign]

    def counts(self, pair: Pair) -> bool:
        """Tell whether a link that stands makes its ends one person, as far as it is known by itself."""
        tie = self._ties[pair]
        if tie.kind == "household" or (tie.kind == "device" and tie.confidence < LEAST_CONFIDENCE):
            return False
        return not (self.is_hub(pair.one, tie.sign) or self.is_hub(pair.other, tie.sign))

    def linked(self) -> frozenset[str]:
        """Return all accounts that have a link."""
        return frozenset(end for pair in self._ties for end in pair[:2])

    def links_of(self, account: str) -> list[tuple[Pair, Tie]]:
        """Return all links of an account, in the order of their accounts."""
        pairs = sorted(pair for sign in get_args(Sign) for pair in self._near.get((account, sign), ()))
        return [(pair, self._ties[pair]) for pair in pairs]

    def _counting(self, account: str) -> Iterator[Pair]:
        for sign in MOST_LINKS:
            if not self.is_hub(account, sign):
                yield from (pair for pair in self._near.get((account, sign), ()) if self.counts(pair))

    def person(self, account: str) -> Person:
        """Return the person whose account it is."""
        accounts, pairs, next_ones = {account}, set[Pair](), [account]
        while next_ones:
            for pair in self._counting(next_ones.pop()):
                pairs.add(pair)
                new = {*pair[:2]} - accounts
                accounts |= new
                next_ones += new
            if len(accounts) > MOST_ACCOUNTS:
                return Person(account, (account,), too_many=True)
        return Person(self._canonical(account, pairs), tuple(sorted(accounts)))

    def _canonical(self, alone: str, pairs: Iterable[Pair]) -> str:
        """Return the smallest name told, or else the smallest of the accounts that have been linked for longest."""
        if told := [pair.other for pair in pairs if pair.told]:
            return min(told)
        times = [(self._ties[pair].time, pair.one) for pair in pairs]
        return min(times)[1] if times else alone


def _by_account(person: Person) -> dict[str, Person]:
    return dict.fromkeys(person.accounts, person)


def moves(renamed: Iterable[Renamed], time: int, number: int) -> list[Move]:
    """Return the moves that bring what accounts did to their new canonical users, in the order to obey them.

    First the accounts that are canonical from now on take what comes themselves; then rows are split and merged; then
    the rows of the others are told where to send what comes. So nothing is ever sent to a row that sends it back.

    Parameters
    ----------
    renamed
        All accounts whose canonical user changes at once.
    time, number
        Time of the moves, in ms, and the number before that of the first.

    Examples
    --------
    >>> [(each.name, each.row, each.to) for each in moves([Renamed("web:ann", "web:ann", "app:7")], 5, 0)]
    [('merge', 'web:ann', 'app:7')]
    """
    changed = {each.account: each for each in renamed}
    opened: list[Step] = []
    parted: list[Step] = []
    merged: list[Step] = []
    routed: list[Step] = []
    for account, before, after in sorted(changed.values()):
        if account == before:
            merged.append(("merge", account, account, after))
            continue
        # What stays together goes together: with all that cannot be told apart.
        went = changed[before].after if before in changed else before
        if after != went:
            parted.append(("split", before, account, after))
        (opened if account == after else routed).append(("route", account, account, after))
    steps = enumerate([*opened, *parted, *merged, *routed], number + 1)
    return [Move(name, time, place, row, account, to) for place, (name, row, account, to) in steps]
