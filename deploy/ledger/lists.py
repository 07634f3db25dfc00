"""Compares the lists in Redis with those that the final state gives.

Floats of batched maths depend in their last bits on who is served together, so that scores are compared within a
tolerance, and the order is right when it is that of the recomputed scores within the same tolerance. Where lists
are diversified, or explore, each choice hangs on those before it, and last bits could change all that follow: there it
is checked that each item is allowed and scored by the final state, and not which of those allowed were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from afresh.deploy.ledger.comparing import UNREADABLE, behaviour_fields
from afresh.deploy.ledger.reading import PARTITION_ROW, Rows
from afresh.deploy.ledger.report import STATE, Report
from afresh.deploy.ledger.served import ListsInRedis
from afresh.models import scorers
from afresh.models.arrays import Places, Reals
from afresh.models.fusion import fusion
from afresh.models.fusion.fusion import Fusion
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.errors import AfreshError
from afresh.state.keys import key_of
from afresh.state.lists import ListItem, PopularItem, decode_popular_list, decode_user_list
from afresh.state.rows import content, users
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.policy import Policy
from afresh.streams.serving.popular import FIRST_PARTITION

LISTS = "lists"
POPULAR = "popular lists"

TOLERANCE = 5e-4
"""Of scores and their parts, which are rounded to 4 decimals before they are added."""


def catalogue_of(behaviour_rows: Mapping[int, Rows], content_rows: Mapping[int, Rows]) -> Catalogue:
    """Catalogue of the newest rows; rows that can not be read are left out, they are told of elsewhere."""
    catalogue = Catalogue()
    for rows in content_rows.values():
        catalogue.apply_content(_readable(rows, content.unpack))
    for rows in behaviour_rows.values():
        catalogue.apply_behaviour(_readable(rows, behaviour_fields))
    catalogue.derive()
    return catalogue


def _readable(rows: Rows, unpack: Callable[[bytes], object]) -> dict[bytes, bytes | None]:
    def readable(row: bytes) -> bool:
        try:
            unpack(row)
        except UNREADABLE:
            return False
        return True

    return {key: row for key, row in rows.items() if key != PARTITION_ROW and readable(row)}


def check_lists(
    catalogue: Catalogue,
    found: Mapping[int, Rows],
    learned: Mapping[int, Fusion],
    served: ListsInRedis,
    size: int,
    policy: Policy,
    report: Report,
) -> None:
    """Compare the list of every user who has a row with the one that the final state gives."""
    tally = report.tally(LISTS, STATE)
    lister = Lister(catalogue, size, policy=policy)
    everybody: set[str] = set()
    with threadpool_limits(1):
        for each in _recipients(found):
            everybody.add(each.user)
            fault = partial(_fault, each, catalogue, lister, learned[each.partition], size)
            report.check_list(LISTS, f"user {each.user!r}", served.users.get(each.user), fault)
    for user in served.users.keys() - everybody:
        tally.surplus += 1
        report.differ(LISTS, f"there is one of user {user!r}, who has no row")


def _recipients(found: Mapping[int, Rows]) -> Iterator[Recipient]:
    for partition, rows in found.items():
        for key, packed in rows.items():
            if key == PARTITION_ROW:
                continue
            try:
                row = users.unpack(packed)
            except UNREADABLE:
                continue
            yield Recipient(key.decode(errors="replace"), partition, row, 0)


class _Eligible:
    """What one user's list may hold, and how it scores: of new items those that it does hold."""

    def __init__(
        self, lister: Lister, recipient: Recipient, learned: Fusion, items: int, listed: Sequence[int]
    ) -> None:
        new = np.intersect1d(lister.explorable(recipient.row), np.array(listed, np.int32))
        scored = lister.score(recipient.row, learned, new)
        self.scores: Reals = np.full(items, -np.inf)
        self.scores[scored.candidates] = scored.fused()
        parts = fusion.parts(scored.weights, scored.features)
        self._parts = dict(zip(scored.candidates.tolist(), parts, strict=True))

    def parts_of(self, rows: Sequence[int]) -> Reals:
        """What each scorer gives to some items, shape (items, S)."""
        return np.stack([self._parts[row] for row in rows])


def _fault(
    recipient: Recipient, catalogue: Catalogue, lister: Lister, learned: Fusion, size: int, packed: bytes
) -> str:
    """Say what is wrong with a list; nothing if it is right."""
    try:
        made = decode_user_list(packed, recipient.user)
    except AfreshError as error:
        return f"is no list ({error.__cause__})"
    row = recipient.row
    if (made.since, made.revision, made.last_event) != (row.since, row.revision, row.last_event):
        return (
            f"takes in {made.revision:,} events up to {made.last_event!r} (since {made.since}), and the row "
            f"{row.revision:,} up to {row.last_event!r} (since {row.since}): stale"
        )
    rows = _rows(catalogue, made.items)
    eligible = _Eligible(lister, recipient, learned, len(catalogue), rows)
    ids = [item.id for item in made.items]
    fault = _items_fault(ids, rows, eligible.scores, size)
    if not fault and lister.policy.by_score:
        fault = _order_fault(ids, rows, eligible.scores, TOLERANCE)
    if fault or not rows:
        return fault
    listed = np.array([[item.parts.get(name, np.nan) for name in scorers.NAMES] for item in made.items])
    far = ~(np.abs(listed - eligible.parts_of(rows)) <= TOLERANCE)
    if far.any():
        place, scorer = np.argwhere(far)[0]
        return (
            f"gives item {made.items[place].id!r} {listed[place, scorer]:.4f} by {scorers.NAMES[scorer]} instead of "
            f"{eligible.parts_of(rows)[place, scorer]:.4f}: stale"
        )
    return ""


def _items_fault(ids: Sequence[str], rows: Sequence[int], scores: Reals, size: int) -> str:
    """Say what is wrong with the items of a list; scores are of all rows, -inf where not allowed."""
    allowed = int(np.isfinite(scores).sum())
    if len(set(ids)) != len(ids) or len(ids) != min(size, allowed):
        return f"holds {len(set(ids))} items instead of {min(size, allowed)}"
    for item, row in zip(ids, rows, strict=True):
        if row < 0 or not np.isfinite(scores[row]):
            return f"holds item {item!r}, which it may not"
    return ""


def _order_fault(ids: Sequence[str], rows: Sequence[int], scores: Reals, tolerance: float) -> str:
    """Say what is wrong with the order of a list of allowed items, and which it lacks."""
    if not rows:
        return ""
    listed = scores[rows]
    falls = np.flatnonzero(np.diff(listed) > tolerance)
    if len(falls):
        return f"has item {ids[falls[0]]!r} before {ids[falls[0] + 1]!r}, which scores higher: stale"
    others = scores.copy()
    others[rows] = -np.inf
    best = int(np.argmax(others))
    if others[best] > listed[-1] + tolerance:
        return f"lacks an item that scores {others[best]:.4f}, and its last {listed[-1]:.4f}: stale"
    return ""


def _rows(catalogue: Catalogue, items: Sequence[ListItem | PopularItem]) -> list[int]:
    """Catalogue indices of the items of a list."""
    keys = np.array([key_of(item.id) for item in items], np.uint64)
    rows: list[int] = catalogue.indices_of(keys).tolist()
    return rows


def check_popular(
    catalogue: Catalogue, learned: Mapping[int, Fusion], served: ListsInRedis, size: int, report: Report
) -> None:
    """Compare the popular list of every domain with the one that the final state gives."""
    tally = report.tally(POPULAR, STATE)
    with threadpool_limits(1):
        scored = Lister(catalogue, size).for_nobody(learned[FIRST_PARTITION])
    scores = np.full(len(catalogue), -np.inf)
    scores[scored.candidates] = scored.fused()
    domains = {name: rows for name, rows in catalogue.domains().items() if len(rows)}
    for name, rows in domains.items():
        fault = partial(_popular_fault, name, catalogue, scores, rows, size)
        report.check_list(POPULAR, f"domain {name!r}", served.domains.get(name), fault)
    for name in served.domains.keys() - domains.keys():
        if _holds_items(name, served.domains[name]):
            tally.surplus += 1
            report.differ(POPULAR, f"there is one of domain {name!r}, which has no items")


def _popular_fault(
    domain: str,
    catalogue: Catalogue,
    everywhere: Reals,
    allowed: Places,
    size: int,
    packed: bytes,
) -> str:
    try:
        made = decode_popular_list(packed, domain)
    except AfreshError as error:
        return f"is no list ({error.__cause__})"
    scores = np.full(len(catalogue), -np.inf)
    scores[allowed] = everywhere[allowed]
    rows = _rows(catalogue, made.items)
    ids = [item.id for item in made.items]
    fault = _items_fault(ids, rows, scores, size) or _order_fault(ids, rows, scores, TOLERANCE)
    if fault:
        return fault
    for item, score in zip(made.items, scores[rows].tolist(), strict=True):
        if abs(item.score - score) > TOLERANCE:
            return f"gives item {item.id!r} {item.score:.4f} instead of {score:.4f}: stale"
    return ""


def _holds_items(domain: str, packed: bytes) -> bool:
    try:
        return bool(decode_popular_list(packed, domain).items)
    except AfreshError:
        return True
