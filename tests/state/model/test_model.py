from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.relations.near_texts import NearTexts
from afresh.state.catalogue.catalogue import Catalogue
from afresh.state.encoders import Named, Plan
from afresh.state.keys import key_of
from afresh.state.model import told
from afresh.state.model.model import Changes, Model, version_of
from afresh.state.model.told import Message, Revised, Told, Whole
from afresh.state.rows import content
from afresh.state.rows.content import Vector
from tests.streams.making import count, describe

ITEMS = [f"i{number}" for number in range(8)]


class Both:
    """A model, and a Catalogue that follows the same rows and what the model tells."""

    def __init__(self, room: int = 400_000, near: NearTexts | None = None) -> None:
        self.model = Model(near, room=room)
        self.catalogue = Catalogue()
        self.told: list[Message] = []

    def apply_behaviour(self, latest: Any) -> None:
        self.model.rows.apply_behaviour(latest)
        self.catalogue.apply_behaviour(latest)

    def apply_content(self, latest: Any) -> None:
        self.model.rows.apply_content(latest)
        self.catalogue.apply_content(latest)

    def version(self, number: int) -> None:
        snapshot = self.model.snapshot()
        stands = version_of(snapshot)
        self.tell(*self.model.tell_version(number, snapshot.keys, stands))
        self.tell(self.model.install(number, stands))

    def revise(self) -> list[Revised]:
        revised = self.model.revise(self.model.changes())
        self.tell(*revised)
        return revised

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.told.append(message)
            self.catalogue.take(told.decoder.decode(told.encode(message)))

    def related(self, item: str) -> list[str]:
        """Return the names of the items that the Catalogue relates to one, strongest first."""
        index = self.catalogue.indices_of(np.array([key_of(item)], np.uint64))[0]
        return [self.catalogue.ids[other] for other in self.catalogue.items().related[index] if other != NONE]


def taken_together(both: Both, one: str, other: str, times: float) -> None:
    count(both, {one: times, other: times}, {one: {other: times}, other: {one: times}})


def test_a_version_counts_once_it_is_whole() -> None:
    both = Both()
    describe(both, *ITEMS)
    taken_together(both, "i1", "i2", 3.0)
    both.version(7)
    *others, whole = both.told
    assert isinstance(whole, Whole)
    catalogue = Catalogue()
    for message in others:
        catalogue.take(message)
        assert catalogue.model == 0
    catalogue.take(whole)
    assert catalogue.model == 7
    assert both.related("i1") == ["i2"]


def test_a_version_of_which_a_part_is_missing_never_counts() -> None:
    both = Both(room=40_000)
    describe(both, *(f"i{number}" for number in range(40)))
    both.version(7)
    rows = [message for message in both.told if isinstance(message, Told)]
    assert len(rows) > 1
    catalogue = Catalogue()
    for message in both.told:
        if message is not rows[0]:
            catalogue.take(message)
    assert catalogue.model == 0


def test_of_a_version_that_is_begun_twice_the_second_one_counts() -> None:
    """By clocks that differ, a leader that died may have begun a version of the number that the next one takes."""
    died, both = Both(), Both()
    describe(died, *reversed(ITEMS))
    taken_together(died, "i4", "i5", 3.0)
    died.version(7)
    describe(both, *ITEMS)
    taken_together(both, "i1", "i2", 3.0)
    for message in died.told[:-1]:
        both.catalogue.take(message)
    both.version(7)
    assert both.related("i1") == ["i2"]
    assert both.related("i4") == []


def test_what_people_do_moves_the_relations_of_others_before_the_next_version() -> None:
    both = Both()
    describe(both, *ITEMS)
    taken_together(both, "i1", "i2", 3.0)
    both.version(7)
    taken_together(both, "i1", "i3", 20.0)
    assert both.revise()
    assert both.catalogue.model == 7
    assert both.related("i3") == ["i1"]
    assert both.related("i1")[0] == "i3"


def test_items_that_come_after_a_version_are_numbered_by_revisions() -> None:
    both = Both()
    describe(both, *ITEMS)
    both.version(7)
    describe(both, "new")
    taken_together(both, "new", "i1", 5.0)
    both.revise()
    assert both.related("new") == ["i1"]
    assert both.related("i1") == ["new"]


def test_rows_may_name_any_of_the_items_that_came_with_them() -> None:
    both = Both(room=30_000)
    describe(both, *ITEMS)
    both.version(7)
    new = [f"new{number}" for number in range(40)]
    count(both, dict.fromkeys(new, 3.0), {item: {new[-1]: 5.0} for item in new[:-1]})
    assert len(both.revise()) > 2
    assert all(both.related(item) == [new[-1]] for item in new[:-1])


def test_nothing_is_told_if_nothing_has_changed() -> None:
    both = Both()
    describe(both, *ITEMS)
    taken_together(both, "i1", "i2", 3.0)
    both.version(7)
    assert both.revise() == []
    assert not both.model.has_changes()
    assert not both.model.is_outdated()


def test_what_changed_while_a_version_was_derived_is_revised_in_it() -> None:
    both = Both()
    describe(both, *ITEMS)
    both.version(7)
    snapshot = both.model.snapshot()
    stands = version_of(snapshot)
    taken_together(both, "i4", "i5", 4.0)
    both.revise()
    both.tell(*both.model.tell_version(8, snapshot.keys, stands), both.model.install(8, stands))
    assert both.related("i4") == []
    both.revise()
    assert both.related("i4") == ["i5"]
    assert both.model.is_outdated()


def test_revisions_of_another_version_are_left_out() -> None:
    both = Both()
    describe(both, *ITEMS)
    both.version(7)
    taken_together(both, "i1", "i2", 3.0)
    revised = both.model.revise(both.model.changes())
    both.version(8)
    before = both.related("i1")
    both.tell(*revised)
    assert both.related("i1") == before
    assert both.catalogue.model == 8


def test_rows_of_numbers_that_were_never_told_are_left_out() -> None:
    both = Both()
    describe(both, *ITEMS)
    both.version(7)
    describe(both, "new")
    revised = both.revise()[-1]
    row = np.zeros(1, told.TOLD).tobytes()
    both.tell(Revised(7, 5, 30, b"", np.array([30], "<i4").tobytes(), row, revised.heads))
    assert len(both.catalogue) == len(ITEMS) + 1


def test_a_version_of_another_leader_ends_ours() -> None:
    both = Both()
    describe(both, *ITEMS)
    both.version(7)
    both.model.note(Whole(9, 1, 0, b""))
    assert (both.model.version, both.model.slot, both.model.stands) == (9, 1, False)
    assert both.model.is_outdated()


def test_no_message_is_larger_than_the_room() -> None:
    both = Both(room=60_000)
    describe(both, *(f"i{number}" for number in range(100)))
    both.version(7)
    taken_together(both, "i1", "i2", 3.0)
    both.revise()
    assert max(len(told.encode(message)) for message in both.told) <= 60_000


@given(
    st.lists(
        st.tuples(st.sampled_from(ITEMS), st.sampled_from(ITEMS), st.booleans()), min_size=1, max_size=12
    )
)
@limits(deadline=None, max_examples=25)
def test_whatever_was_revised_the_next_version_is_that_of_the_rows_alone(
    steps: list[tuple[str, str, bool]],
) -> None:
    followed, anew = Both(), Both()
    for both in (followed, anew):
        describe(both, *ITEMS)
    followed.version(1)
    for number, (one, other, derived) in enumerate(steps):
        taken_together(followed, one, other, number + 1.0)
        followed.revise()
        if derived:
            followed.version(number + 2)
    followed.version(100)
    for number, (one, other, _) in enumerate(steps):
        taken_together(anew, one, other, number + 1.0)
    anew.revise()
    anew.version(100)
    first, second = followed.catalogue.items(), anew.catalogue.items()
    for name in ("related", "strengths", "vectors", "followers", "following", "mass", "trust", "heads"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_changes_are_taken_once() -> None:
    model = Model()
    model.rows.tracked = True
    count(model.rows, {"i1": 1.0}, {"i1": {"i2": 2.0}})
    changes = model.changes()
    assert isinstance(changes, Changes)
    assert changes.numbers.tolist() == [0]
    assert changes.before.weights.sum() == 0
    assert changes.after.weights.sum() == 2.0
    assert not len(model.changes().numbers)


@pytest.mark.parametrize("items", [0, 1])
def test_a_model_of_hardly_any_items_tells_a_version_too(items: int) -> None:
    both = Both()
    describe(both, *ITEMS[:items])
    both.version(1)
    assert both.catalogue.model == 1


def with_texts(both: Both, names: Sequence[str]) -> None:
    """Describe items by texts, each near those before and behind it in the order of their names."""
    for name in names:
        angle = ITEMS.index(name) / 10
        vector = np.array([np.cos(angle), np.sin(angle)], "<f2").tobytes()
        describe(both, name, content=1, vectors=[Vector(content.TEXT, "e", "1", 1, vector)])


@pytest.mark.parametrize("exact_below", [4, 100])
def test_who_makes_the_model_next_goes_on_with_the_texts_that_were_near_each_other(exact_below: int) -> None:
    before = Both()
    with_texts(before, ITEMS)
    before.revise()
    before.version(7)
    after = Both(near=NearTexts(exact_below=exact_below, at_once=2))
    # It has met the items in another order, and one of them no more.
    with_texts(after, ITEMS[:0:-1])
    for message in before.told:
        after.catalogue.take(message)
    after.model.recall(after.catalogue.alike)
    assert after.model.recalled == (exact_below == 4)
    if after.model.recalled:
        after.version(8)
        akin = after.catalogue.items().akin[after.catalogue.known(key_of("i3")).index]
        assert {after.catalogue.ids[other] for other in akin if other != NONE} == {*ITEMS} - {"i0", "i3"}
        assert after.model.reads_texts()


def test_who_has_compared_texts_goes_on_with_its_own() -> None:
    both = Both(near=NearTexts(exact_below=4))
    with_texts(both, ITEMS)
    both.revise()
    both.version(7)
    both.model.recall(both.catalogue.alike)
    assert not both.model.recalled


def read_by(version: str, *numbers: float) -> Vector:
    return Vector(content.TEXT, "minilm", version, 0, np.array(numbers, "<f2").tobytes())


def test_lists_change_over_to_another_encoder_with_the_version_that_names_it_and_back() -> None:
    both = Both()
    one = [read_by("1", 1, 0), read_by("1", 1, 0), read_by("1", 0, 1), read_by("1", 0, 1)]
    two = [read_by("2", 1, 0, 0), read_by("2", 0, 1, 0), read_by("2", 1, 0, 0), read_by("2", 0, 1, 0)]
    for place in range(4):
        describe(both, ITEMS[place], vectors=[one[place]])
    both.model.plan = Plan([Named("minilm", "2"), Named("minilm", "1")])

    def next_version(number: int) -> None:
        both.model.change_over()
        while both.model.reads_texts():
            both.revise()
        both.version(number)

    def stands() -> tuple[str, int, int, str]:
        width = both.catalogue.items().codes.shape[1]
        nearest = both.catalogue.ids[both.catalogue.items().akin[0, 0]]
        return both.catalogue.encoder, both.catalogue.encoder_since, width, nearest

    next_version(7)
    assert stands() == ("1", 7, 2, "i1")
    for place in range(4):
        describe(both, ITEMS[place], vectors=[two[place], one[place]])
    assert stands() == ("1", 7, 2, "i1")
    stood = both.model.stands
    both.model.change_over()
    assert (stood, both.model.stands) == (True, False)
    assert both.revise() == []
    assert stands() == ("1", 7, 2, "i1")
    next_version(8)
    next_version(9)
    assert stands() == ("2", 8, 3, "i2")
    both.model.plan = Plan(both.model.plan.wanted, use="1")
    next_version(10)
    assert stands() == ("1", 10, 2, "i1")


def test_the_next_leader_goes_on_with_the_encoder_that_stands() -> None:
    model = Model()
    for name in ITEMS:
        describe(model.rows, name, vectors=[read_by("2", 1, 0, 0), read_by("1", 1, 0)])
    model.note(Whole(9, 1, 0, b"", "1", 4))
    assert model.rows.embeddings.matrix(1).shape == (1, 2)
    whole = model.install(10, version_of(model.snapshot()))
    assert (whole.encoder, whole.since) == ("1", 4)
