import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.layout import HISTORY
from afresh.state.records import Interaction
from afresh.state.rows import details, users
from afresh.state.rows.details import UNKNOWN
from afresh.state.rows.users import (
    DOMAIN_LIMIT,
    HOUR_MS,
    HOURLY_VOTES,
    RECENT_EVENTS,
    SEEN_LIMIT,
    USER_ROW_VERSION,
    UserRow,
    packed_key,
)
from afresh.state.versions import RowVersionError

names = st.text(min_size=1, max_size=20)


def note(row: UserRow, event: str, time: int = 1000, received: int = 5000, domain: str = "films") -> None:
    row.fold_event(event, packed_key(event), time, received, domain)


rows = st.builds(
    UserRow,
    since=st.integers(-1, 2**62),
    revision=st.integers(0, 2**40),
    last_event=names,
    last_time=st.integers(0, 2**62),
    items=st.binary(max_size=64),
    times=st.binary(max_size=64),
    events=st.binary(max_size=64),
    details=st.binary(max_size=60),
    platforms=st.lists(names, max_size=3).map(tuple),
    seen=st.binary(max_size=64),
    refused=st.binary(max_size=64),
    taken=st.integers(0, 2**40),
    domains=st.dictionaries(names, st.integers(0, 2**40), max_size=3),
)


def take(row: UserRow, item: str, time: int, detail: bytes = UNKNOWN) -> None:
    """Let a row take an item at a time in ms."""
    row.take(row.place_of(time), packed_key(item), time, detail)


@given(rows)
def test_a_row_is_the_same_after_packing(row: UserRow) -> None:
    assert users.unpack(users.pack(row)) == row


def test_a_user_without_a_row_gets_a_new_one() -> None:
    assert users.unpack(None) == UserRow()


def test_new_rows_share_nothing() -> None:
    first, second = users.unpack(None), users.unpack(None)
    note(first, "e1")
    assert second == UserRow()


def test_a_row_of_a_newer_version_is_refused_by_name() -> None:
    packed = users.pack(UserRow(version=USER_ROW_VERSION + 1))
    with pytest.raises(RowVersionError, match=r"user's row has version 4; this program knows 3"):
        users.unpack(packed)


def test_fields_that_a_newer_program_appended_are_ignored() -> None:
    fields = msgspec.to_builtins(UserRow(revision=3), builtin_types=(bytes,))
    assert users.unpack(msgspec.msgpack.encode([*fields, "new"])).revision == 3


@given(st.lists(names, max_size=100, unique=True))
def test_the_history_holds_the_newest_items_newest_first(items: list[str]) -> None:
    row = UserRow()
    for number, item in enumerate(items):
        take(row, item, number * 1000)
    expected = [int.from_bytes(packed_key(item), "little") for item in reversed(items)][:HISTORY]
    assert users.history_of(row).tolist() == expected
    assert np.frombuffer(row.times, "<u4").tolist() == [*range(len(items))][::-1][:HISTORY]


def test_an_item_taken_twice_is_in_the_history_twice() -> None:
    row = UserRow()
    for _ in range(2):
        take(row, "i", 1000)
    assert len(users.history_of(row)) == 2


def half(item: str) -> int:
    return int.from_bytes(packed_key(item)[:4], "little")


@given(st.lists(st.integers(0, 400), max_size=300).map(lambda numbers: [f"i{n}" for n in numbers]))
def test_all_items_taken_are_left_out_however_long_ago(items: list[str]) -> None:
    row = UserRow()
    for item in items:
        take(row, item, 0)
    assert set(users.left_out_of(row, "taken").tolist()) == {half(item) for item in items}
    assert row.taken == len(items)


def test_refused_items_are_left_out_even_where_taken_items_are_listed_again() -> None:
    row = UserRow()
    take(row, "taken", 0)
    for _ in range(2):
        row.refuse(packed_key("refused"))
    assert users.left_out_of(row, "nothing").tolist() == [half("refused")]
    assert users.left_out_of(row, "taken").tolist() == [half("taken"), half("refused")]


def test_the_oldest_items_beyond_the_limit_may_be_listed_again() -> None:
    row = UserRow(refused=np.arange(SEEN_LIMIT, dtype="<u4").tobytes())
    row.refuse(packed_key("new"))
    refused = users.left_out_of(row, "taken")
    assert len(refused) == SEEN_LIMIT
    assert refused[0] == half("new")
    assert SEEN_LIMIT - 1 not in refused


def test_a_row_of_50_events_has_at_most_1_3_kib() -> None:
    row = UserRow()
    for number in range(50):
        event = f"7b1c9a52-6d0e-4f7a-9b43-{number:012}"
        users.fold(row, interaction(event, f"i{number}", 1_700_000_000_000 + number * HOUR_MS), 0, number)
    assert len(row.events) == 8 * RECENT_EVENTS
    assert len(users.unpack(users.pack(row)).details) == HISTORY * details.BYTES
    assert len(users.pack(row)) <= 1331


def test_a_row_of_another_layout_is_refused() -> None:
    fields = [1, 0, 1, "e1", 0, b"", b"", b"", b"", b"", {}]
    with pytest.raises(RowVersionError, match="layout that this program does not know"):
        users.unpack(msgspec.msgpack.encode(fields))


@given(st.lists(st.integers(0, 40), max_size=120))
def test_an_event_is_known_while_it_is_among_the_newest(numbers: list[int]) -> None:
    row, folded = UserRow(), list[int]()
    for number in numbers:
        event = f"e{number}"
        assert row.knows(packed_key(event)) == (number in folded[-RECENT_EVENTS:])
        note(row, event)
        folded.append(number)
    assert len(row.events) == 8 * min(len(numbers), RECENT_EVENTS)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 24))
def test_a_key_is_not_found_across_the_border_of_two_keys(events: bytes, start: int) -> None:
    key = events[start : start + 8]
    expected = key in [events[place : place + 8] for place in range(0, len(events), 8)]
    assert UserRow(events=events).knows(key) == expected


def test_since_is_the_time_at_which_kafka_took_the_first_event() -> None:
    row = UserRow()
    note(row, "e1", received=7000)
    note(row, "e2", received=6000)
    assert (row.since, row.revision, row.last_event) == (7000, 2, "e2")


def test_events_out_of_order_count_and_keep_the_newest_time() -> None:
    row = UserRow()
    for event, time in (("new", 9_000), ("old", 2_000)):
        note(row, event, time=time)
        take(row, event, time)
    assert (row.last_time, row.last_event, row.revision) == (9_000, "old", 2)
    assert np.frombuffer(row.times, "<u4").tolist() == [9, 2]
    assert users.ages_of(row).tolist() == [0.0, 7.0]
    assert users.history_of(row).tobytes() == packed_key("new") + packed_key("old")


def packed_detail(value: float) -> bytes:
    return details.pack("rating", 0, 0, 0, value)


@given(st.lists(st.integers(0, 100), max_size=3 * HISTORY))
def test_in_any_order_of_arrival_the_history_is_that_of_the_times_and_the_rest_is_seen(
    times: list[int],
) -> None:
    row = UserRow()
    for number, time in enumerate(times):
        take(row, f"i{number}", 1000 * time + number, packed_detail(number))
    # The newest first; of the same second, the later arrival.
    order = sorted(range(len(times)), key=lambda number: (times[number], number), reverse=True)
    kept, gone = order[:HISTORY], order[HISTORY:]
    assert row.items == b"".join(packed_key(f"i{number}") for number in kept)
    assert np.frombuffer(row.times, "<u4").tolist() == [times[number] for number in kept]
    assert details.unpack(row.details)["value"].tolist() == kept
    assert set(np.frombuffer(row.seen, "<u4").tolist()) == {half(f"i{number}") for number in gone}
    assert row.taken == len(times)


def test_the_example_of_a_late_event_shows_only_what_was_taken_before_its_time() -> None:
    row = UserRow()
    for item, time in (("a", 1000), ("c", 3000)):
        users.fold(row, interaction(f"e {item}", item, time, value=time), 0, 0)
    example = users.fold(row, interaction("e b", "b", 2000), 0, 1)
    assert example is not None
    assert (example.history, example.times) == (packed_key("a"), (1).to_bytes(4, "little"))
    assert details.unpack(example.details)["value"].tolist() == [1000]
    assert example.taken == 2
    assert row.items == b"".join(map(packed_key, "cba"))


def test_others_do_not_learn_from_an_item_that_is_older_than_a_full_history() -> None:
    row = UserRow()
    for number in range(HISTORY):
        users.fold(row, interaction(f"e{number}", f"i{number}", HOUR_MS * (number + 2)), 0, number)
    before = row.items
    assert users.fold(row, interaction("old", "old", HOUR_MS), 0, HISTORY) is None
    assert (row.items, row.taken) == (before, HISTORY + 1)
    assert half("old") in users.left_out_of(row, "taken")


def test_ages_are_seconds_before_the_newest_item() -> None:
    row = UserRow()
    for item, time in (("a", 1_000), ("b", 61_000), ("c", 61_999)):
        take(row, item, time)
    assert users.ages_of(row).tolist() == [0.0, 0.0, 60.0]
    assert users.ages_of(row).dtype == np.float32


@pytest.mark.parametrize(("time", "seconds"), [(-5_000, 0), (2**63 - 1, 2**32 - 1)])
def test_times_beyond_32_bits_are_limited(time: int, seconds: int) -> None:
    row = UserRow()
    take(row, "i", time)
    assert np.frombuffer(row.times, "<u4").tolist() == [seconds]


def test_interactions_are_counted_by_domain() -> None:
    row = UserRow()
    for number, domain in enumerate(["films", "books", "films"]):
        note(row, f"e{number}", domain=domain)
    assert row.domains == {"films": 2, "books": 1}


def test_domains_beyond_the_limit_are_not_counted_so_that_rows_stay_bounded() -> None:
    row = UserRow()
    for number in range(DOMAIN_LIMIT + 5):
        note(row, f"e{number}", domain=f"d{number}")
    note(row, "again", domain="d0")
    assert len(row.domains) == DOMAIN_LIMIT
    assert row.domains["d0"] == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-2, 2)), max_size=60))
def test_others_learn_from_a_bounded_number_of_items_per_hour(drawn: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "HOURLY_EXAMPLES", 4)
        row, time, taught = UserRow(), 100 * HOUR_MS, dict[int, int]()
        for number, (item, step) in enumerate(drawn):
            time += step * HOUR_MS // 3
            hour = max(*taught, time // HOUR_MS) if taught else time // HOUR_MS
            learned = users.fold(row, interaction(f"e{number}", f"i{item}", time), 0, number) is not None
            taught[hour] = taught.get(hour, 0) + learned
            assert taught[hour] <= 4
            assert row.revision == number + 1


def test_a_burst_on_one_item_makes_few_examples_but_is_all_in_the_users_row() -> None:
    row = UserRow()
    start = 100 * HOUR_MS
    learned = [
        users.fold(row, interaction(f"e{number}", "i1", start + number * 1000), 0, number) is not None
        for number in range(100)
    ]
    assert learned == [True] * HOURLY_VOTES + [False] * 97
    assert len(users.history_of(row)) == HISTORY
    late = interaction("late", "i1", start + 100_000 + HOUR_MS)
    assert users.fold(row, late, 0, 100) is not None


def interaction(
    event: str,
    item: str,
    time: int,
    kind: str = "view",
    platform: str = "web",
    domain: str = "films",
    value: float | None = None,
) -> Interaction:
    return Interaction(0, 0, 5, event, kind, time, "web:ann", item, platform, domain, value)


def test_rules_leave_out_items_taken_bought_or_refused() -> None:
    row = UserRow()
    for number, (item, kind) in enumerate((("a", "view"), ("b", "purchase"), ("c", "dislike"))):
        users.fold(row, interaction(f"e{number}", item, 1000, kind), 0, number)
    found = {
        rule: {name for name in "abc" if half(name) in users.left_out_of(row, rule)}
        for rule in ("taken", "bought", "nothing")
    }
    assert found == {"taken": {"a", "b", "c"}, "bought": {"b", "c"}, "nothing": {"c"}}


def kinds(row: UserRow, *kinds: str) -> None:
    """Fold in events of these types, all with the item ``a``."""
    for kind in kinds:
        users.fold(row, interaction(f"e{row.revision}", "a", 1000, kind), 0, row.revision)


@pytest.mark.parametrize("lifting", ["like", "purchase"])
def test_a_later_like_or_purchase_lifts_a_dislike(lifting: str) -> None:
    row = UserRow(refused=packed_key("b")[:4])
    kinds(row, "dislike", "view", "click", "add_to_cart", "rating", "impression")
    assert half("a") in users.left_out_of(row, "nothing")
    kinds(row, lifting)
    assert users.left_out_of(row, "nothing").tolist() == [half("b")]
    assert half("a") in users.left_out_of(row, "taken")
    assert (half("a") in users.left_out_of(row, "bought")) == (lifting == "purchase")
    kinds(row, "dislike")
    assert users.left_out_of(row, "nothing").tolist() == [half("a"), half("b")]


def test_a_row_says_how_each_item_of_its_history_was_taken() -> None:
    row = UserRow()
    folded = [
        interaction("e0", "a", 1000, "rating", "web", "films", 4.5),
        interaction("e1", "b", 2000, "dislike", "desk", "games"),
        interaction("e2", "c", 3000, "purchase", "tv", "books", 1e9),
        interaction("e3", "d", 4000, "view", "web", "books", -1e9),
        interaction("e4", "e", 5000, "view", "tv", "games"),
    ]
    for number, each in enumerate(folded):
        users.fold(row, each, 0, number)
    found = details.unpack(row.details)
    assert found[["type", "platform", "domain", "account"]].tolist() == [
        (1, 1, 1, 0),
        (1, 0, 2, 0),
        (4, 1, 2, 0),
        (5, 0, 0, 0),
    ]
    np.testing.assert_array_equal(found["value"], np.array([np.nan, -65504, 65504, 4.5], "<f2"))
    assert (row.platforms, list(row.domains)) == (("web", "tv"), ["films", "games", "books"])
    assert len(found) == len(users.history_of(row))
    assert (row.version, row.began, row.accounts) == (3, 3, ())


def test_platforms_and_domains_beyond_the_limit_have_no_index_so_that_rows_and_examples_stay_bounded() -> (
    None
):
    row = UserRow()
    for number in range(details.NAMES + 3):
        each = interaction(f"e{number}", f"i{number}", 1000, platform=f"p{number}", domain=f"d{number}")
        users.fold(row, each, 0, number)
    found = details.unpack(row.details)
    last = details.NAMES - 1
    assert found["platform"][:5].tolist() == [details.OTHER] * 3 + [last, last - 1]
    assert found["domain"][:5].tolist() == [details.OTHER] * 3 + [last, last - 1]
    assert len(row.platforms) == details.NAMES
    example = users.fold(row, interaction("last", "i", 1000), 0, 100)
    assert example is not None
    assert (len(example.platforms), len(example.domains)) == (details.NAMES, details.NAMES)


def test_an_example_says_how_its_item_was_taken_and_how_those_before_it_were() -> None:
    row = UserRow()
    users.fold(row, interaction("e0", "a", 1000, "rating", "web", "films", 4.5), 0, 0)
    example = users.fold(row, interaction("e1", "b", 2000, "purchase", "tv", "books", 1e9), 0, 1)
    assert example is not None
    assert (example.version, example.type, example.platform, example.account) == (2, "purchase", "tv", 0)
    assert example.value == 1e9
    assert details.unpack(example.details).tolist() == [(5, 0, 0, 0, 4.5)]
    assert (example.platforms, example.domains) == (("web",), ("films", "books"))


def test_details_of_items_that_an_earlier_version_folded_are_unknown() -> None:
    fields = msgspec.to_builtins(
        UserRow(version=2, items=packed_key("a") + packed_key("b"), times=bytes(8)), builtin_types=(bytes,)
    )
    row = users.unpack(msgspec.msgpack.encode(fields[:15]))
    assert (row.version, row.began, row.details) == (3, 2, 2 * UNKNOWN)
    users.fold(row, interaction("e1", "c", 1000), 0, 0)
    again = users.unpack(users.pack(row))
    assert (again, again.began) == (row, 2)
    assert details.unpack(again.details)["type"].tolist() == [1, 0, 0]
