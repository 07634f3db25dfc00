from __future__ import annotations

from afresh.deploy.demo.linker import PATIENCE_SECONDS, Linker, LinkNotes, Meeting
from afresh.deploy.demo.lists import Entry, ReadList
from tests.deploy.demo.test_player import FakeShop

ACCOUNTS = ("web:ann", "app:7")


def listed(*items: str, last: str = "e9") -> ReadList:
    return ReadList([Entry(item) for item in items], last)


class Linked:
    """A linker; the test sets its clock and the lists."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shop, self.notes, self.sent = FakeShop(), LinkNotes(), list[tuple[str, str]]()
        self.linker = Linker({"e9": ACCOUNTS}, self.shop, self.send, self.notes, lambda: self.now)

    def send(self, one: str, other: str) -> None:
        self.sent.append((one, other))

    def look(self, seconds: float, **lists: ReadList) -> bool:
        self.now += seconds
        self.shop.lists |= {f"web:{name}" if name == "ann" else "app:7": each for name, each in lists.items()}
        self.linker.look()
        return self.linker.waits


def test_only_the_event_that_is_waited_for_links() -> None:
    made = Linked()
    made.linker.answered("e8")
    assert (made.sent, made.linker.waits) == ([], False)
    made.linker.answered("e9")
    assert (made.sent, made.linker.waits) == ([ACCOUNTS], True)


def test_accounts_meet_once_both_have_one_list() -> None:
    made = Linked()
    made.shop.lists = {"web:ann": listed("a"), "app:7": listed("b")}
    made.linker.answered("e9")
    assert made.look(0.25)
    assert made.look(0.25, ann=listed("c"))
    assert not made.look(0.25, app=listed("c"))
    assert made.notes == LinkNotes([0.75], 0, Meeting(ACCOUNTS, (("a",), ("b",)), ("c",), 0.75))


def test_lists_that_take_in_other_events_are_not_one_list() -> None:
    made = Linked()
    made.linker.answered("e9")
    assert made.look(0.25, ann=listed("c", last="e1"), app=listed("c", last="e2"))


def test_two_accounts_without_a_list_have_not_met() -> None:
    made = Linked()
    made.linker.answered("e9")
    assert made.look(0.25)
    assert not made.look(PATIENCE_SECONDS)
    assert made.notes == LinkNotes([], 1, None)
