"""Compares the lists in Redis with the lists that the final state gives.

Users are served in batches, and the last bits of a score depend on the batch. So scores are compared within a
tolerance. The order of a list is right if it is the order of the recomputed scores, within the same tolerance.

Lists that are diversified or explore are checked less strictly. There each choice depends on the choices before it, so
that a last bit could change all that follow. The check is then that each item is allowed, and has the score of the
final state. Which of the allowed items were chosen is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec
import numpy as np

from afresh.deploy.ledger.comparing import UNREADABLE, behaviour_fields
from afresh.deploy.ledger.reading import PARTITION_ROW, Logs, Rows
from afresh.deploy.ledger.report import STATE, Report
from afresh.deploy.ledger.served import ListsInRedis
from afresh.models import scorers
from afresh.models.arrays import Reals
from afresh.models.fusion import weights
from afresh.models.fusion.weights import Weights
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.errors import AfreshError
from afresh.state.keys import keys_of
from afresh.state.lists import OTHERS, ListItem, PopularItem, decode_popular_list, decode_user_list
from afresh.state.model.told import Whole
from afresh.state.rows import content, users
from afresh.state.rows.merging import accounts_of
from afresh.streams.modelling.records import WHOLE
from afresh.streams.serving.lister import Lister, Recipient
from afresh.streams.serving.policy import Policy
from afresh.streams.topics import FIRST_PARTITION, Topics

LISTS = "lists"
POPULAR = "popular lists"

TOLERANCE = 5e-4
"""Tolerance of scores and of their parts. The parts are rounded to 4 decimals before they are added."""


def catalogue_of(
    behaviour_rows: Mapping[int, Rows],
    content_rows: Mapping[int, Rows],
    encoder: str = "",
    declared: Mapping[str, int] | None = None,
) -> Catalogue:
    """Make a Catalogue of the newest rows. Leaves out unreadable rows; other checks report them.

    Parameters
    ----------
    behaviour_rows, content_rows
        The rows, by partition.
    encoder
        See ``encoder_of``.
    declared
        Kinds of vectors that items bring and that lists read, as for ``Catalogue``.
    """
    catalogue = AloneCatalogue(declared=declared)
    catalogue.use(encoder)
    for rows in content_rows.values():
        catalogue.apply_content(_readable(rows, content.unpack))
    for rows in behaviour_rows.values():
        catalogue.apply_behaviour(_readable(rows, behaviour_fields))
    catalogue.derive()
    return catalogue


whole_decoder = msgspec.msgpack.Decoder(Whole)


def encoder_of(logs: Logs, topics: Topics) -> str:
    """Return the version of the encoder that lists are made from, as the newest version of the model names it."""
    encoder = ""
    for record in logs.records(topics.model, FIRST_PARTITION):
        if record.key == WHOLE.encode() and record.value is not None:
            with suppress(msgspec.MsgspecError):
                encoder = whole_decoder.decode(record.value).encoder
    return encoder


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
    learned: Weights,
    served: ListsInRedis,
    size: int,
    policy: Policy,
    report: Report,
) -> None:
    """Compare the list of every account of every user who has a row with the list that the final state gives."""
    tally = report.tally(LISTS, STATE)
    lister = Lister(catalogue, size, policy=policy)
    everybody: set[str] = set()
    for each in _recipients(found):
        fault = partial(_fault, each, catalogue, lister, learned, size)
        for account in accounts_of(each.row, each.user):
            everybody.add(account)
            report.check_list(LISTS, f"user {account!r}", served.users.get(account), fault)
    for user in served.users.keys() - everybody:
        tally.surplus += 1
        report.differ(LISTS, f"there is a list of user {user!r}, who has no row")


def _recipients(found: Mapping[int, Rows]) -> Iterator[Recipient]:
    for partition, rows in found.items():
        for key, packed in rows.items():
            if key == PARTITION_ROW:
                continue
            try:
                row = users.unpack(packed)
            except UNREADABLE:
                continue
            if row.to:
                continue
            yield Recipient(key.decode(errors="replace"), partition, row, 0)


class _Eligible:
    """The items that one user's list may hold, and their scores; of new items, only those that the list holds."""

    def __init__(
        self, lister: Lister, recipient: Recipient, learned: Weights, items: int, listed: Sequence[int]
    ) -> None:
        new = np.intersect1d(lister.explorable(recipient.row), np.array(listed, np.int32))
        scored = lister.score(recipient.row, learned, new)
        self.scores: Reals = np.full(items, -np.inf)
        self.scores[scored.candidates] = scored.fused()
        parts = weights.parts(scored.weights, scored.features)
        self._parts = dict(zip(scored.candidates.tolist(), parts, strict=True))

    def parts_of(self, indices: Sequence[int]) -> Reals:
        """Return what each scorer adds to the scores of some items, shape (items, S)."""
        return np.stack([self._parts[index] for index in indices])


def _fault(
    recipient: Recipient, catalogue: Catalogue, lister: Lister, learned: Weights, size: int, packed: bytes
) -> str:
    """Say what is wrong with a list; "" if it is right."""
    try:
        made = decode_user_list(packed, recipient.user)
    except AfreshError as error:
        return f"is no list ({error.__cause__})"
    row = recipient.row
    if (made.since, made.revision, made.last_event) != (row.since, row.revision, row.last_event):
        return (
            f"takes in {made.revision:,} events up to {made.last_event!r} (since {made.since}), but the row "
            f"{row.revision:,} up to {row.last_event!r} (since {row.since}): stale"
        )
    if made.weights != learned.version:
        return _other_weights(made.weights, learned)
    indices = _indices(catalogue, made.items)
    eligible = _Eligible(lister, recipient, learned, len(catalogue), indices)
    ids = [item.id for item in made.items]
    fault = _items_fault(ids, indices, eligible.scores, size)
    if not fault and lister.policy.by_score:
        fault = _order_fault(ids, indices, eligible.scores, TOLERANCE)
    if fault or not indices:
        return fault
    return _parts_fault(made.items, eligible.parts_of(indices))


def _parts_fault(items: Sequence[ListItem], added: Reals) -> str:
    """Say whether a list names other parts than what the scorers added, shape (items, S); "" if they are right."""
    for item, by_scorer in zip(items, added.tolist(), strict=True):
        right = dict(zip(scorers.NAMES, by_scorer, strict=True))
        right[OTHERS] = sum(part for name, part in right.items() if name not in item.parts)
        # The others come last: they are wrong as well where a single part is.
        for name in [*(each for each in item.parts if each != OTHERS), OTHERS]:
            part = item.parts.get(name, 0.0)
            if not abs(part - right.get(name, 0.0)) <= TOLERANCE:
                return f"gives item {item.id!r} {part:.4f} by {name} instead of {right.get(name, 0.0):.4f}: stale"
    return ""


def _other_weights(named: int, learned: Weights) -> str:
    """Say that a list names other weights than those that stand."""
    if named > learned.version:
        return f"names weights {named}, which nobody has learned; {learned.version} stand"
    return f"was made with weights {named}, but {learned.version} stand: stale"


def _items_fault(ids: Sequence[str], indices: Sequence[int], scores: Reals, size: int) -> str:
    """Say what is wrong with the items of a list; "" if they are right.

    ``scores`` are those of the whole Catalogue, -inf for an item that is not allowed.
    """
    allowed = int(np.isfinite(scores).sum())
    if len(set(ids)) != len(ids) or len(ids) != min(size, allowed):
        return f"holds {len(set(ids))} items instead of {min(size, allowed)}"
    for item, index in zip(ids, indices, strict=True):
        if index < 0 or not np.isfinite(scores[index]):
            return f"holds item {item!r}, which is not allowed"
    return ""


def _order_fault(ids: Sequence[str], indices: Sequence[int], scores: Reals, tolerance: float) -> str:
    """Say whether a list of allowed items is in the wrong order, or lacks a better item; "" if it is right."""
    if not indices:
        return ""
    listed = scores[indices]
    falls = np.flatnonzero(np.diff(listed) > tolerance)
    if len(falls):
        before, after = ids[falls[0]], ids[falls[0] + 1]
        return f"has item {before!r} before {after!r}, but {after!r} scores higher: stale"
    others = scores.copy()
    others[indices] = -np.inf
    best = int(np.argmax(others))
    if others[best] > listed[-1] + tolerance:
        return f"lacks an item that scores {others[best]:.4f}; its last item scores {listed[-1]:.4f}: stale"
    return ""


def _indices(catalogue: Catalogue, items: Sequence[ListItem | PopularItem]) -> list[int]:
    """Return the Catalogue's indices of the items of a list; negative for an item that it does not know."""
    keys = keys_of(item.id for item in items)
    indices: list[int] = catalogue.indices_of(keys).tolist()
    return indices


def check_popular(
    catalogue: Catalogue, learned: Weights, served: ListsInRedis, size: int, report: Report
) -> None:
    """Compare the popular list of every domain with the list that the final state gives."""
    tally = report.tally(POPULAR, STATE)
    lister = Lister(catalogue, size)
    scored = lister.for_nobody(learned)
    domains = {name: each for name, each in lister.popular_scores(scored).items() if len(each[0])}
    for name, (places, of_candidates) in domains.items():
        scores = np.full(len(catalogue), -np.inf)
        scores[scored.candidates[places]] = of_candidates
        fault = partial(_popular_fault, name, catalogue, learned, scores, size)
        report.check_list(POPULAR, f"domain {name!r}", served.domains.get(name), fault)
    for name in served.domains.keys() - domains.keys():
        if _holds_items(name, served.domains[name]):
            tally.surplus += 1
            report.differ(POPULAR, f"there is a list of domain {name!r}, which has no items")


def _popular_fault(
    domain: str,
    catalogue: Catalogue,
    learned: Weights,
    scores: Reals,
    size: int,
    packed: bytes,
) -> str:
    try:
        made = decode_popular_list(packed, domain)
    except AfreshError as error:
        return f"is no list ({error.__cause__})"
    if made.weights != learned.version:
        return _other_weights(made.weights, learned)
    indices = _indices(catalogue, made.items)
    ids = [item.id for item in made.items]
    fault = _items_fault(ids, indices, scores, size) or _order_fault(ids, indices, scores, TOLERANCE)
    if fault:
        return fault
    for item, score in zip(made.items, scores[indices].tolist(), strict=True):
        if abs(item.score - score) > TOLERANCE:
            return f"gives item {item.id!r} {item.score:.4f} instead of {score:.4f}: stale"
    return ""


def _holds_items(domain: str, packed: bytes) -> bool:
    try:
        return bool(decode_popular_list(packed, domain).items)
    except AfreshError:
        return True
