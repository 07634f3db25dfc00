"""Every account must be in the row of the canonical user that the standing links give it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from afresh.deploy.ledger.comparing import UNREADABLE
from afresh.deploy.ledger.reading import PARTITION_ROW, Logs, Rows, decoded
from afresh.deploy.ledger.report import Report
from afresh.state.people import People
from afresh.state.rows import users
from afresh.state.rows.merging import accounts_of
from afresh.state.rows.users import UserRow
from afresh.streams.checks import RefusedError
from afresh.streams.links import LinksRead
from afresh.streams.messages import keyed_decoder, own_key
from afresh.streams.topics import FIRST_PARTITION, Topics

KIND = "people"


def people_of(logs: Logs, topics: Topics, report: Report) -> People:
    """Return who is one person by the links in their topic; what is no link is reported where it came in."""
    read = LinksRead()
    for record, keyed in decoded(
        logs, topics.identities_keyed, FIRST_PARTITION, keyed_decoder.decode, report
    ):
        with suppress(RefusedError):
            read.take(own_key(record.key or b""), keyed)
    return read.people


def check_people(people: People, found: Mapping[int, Rows], report: Report) -> None:
    """Compare where each account's row leads with what the links say."""
    rows = _readable(found)
    for account in sorted({*people.linked(), *rows}):
        canonical = people.person(account).canonical
        if (holder := _holder(account, rows)) != canonical:
            report.differ(
                KIND, f"what account {account!r} does goes to the row of {holder!r}, but is {canonical!r}'s"
            )
        elif account != canonical and account not in accounts_of(rows.get(canonical, UserRow()), canonical):
            report.differ(KIND, f"the row of {canonical!r} does not know its account {account!r}")
    for user, row in sorted(rows.items()):
        for account in filter(None, row.accounts):
            if (canonical := people.person(account).canonical) != user:
                report.differ(
                    KIND, f"the row of {user!r} holds the account {account!r}, which is {canonical!r}'s"
                )


def _readable(found: Mapping[int, Rows]) -> dict[str, UserRow]:
    rows: dict[str, UserRow] = {}
    for partition in found.values():
        for key, packed in partition.items():
            if key != PARTITION_ROW:
                with suppress(*UNREADABLE):
                    rows[key.decode(errors="replace")] = users.unpack(packed)
    return rows


def _holder(account: str, rows: Mapping[str, UserRow]) -> str:
    """Follow stubs to the row that takes in what an account does; a circle leads to none."""
    holder, passed = account, set[str]()
    while to := rows.get(holder, UserRow()).to:
        if holder in passed:
            return ""
        passed.add(holder)
        holder = to
    return holder
