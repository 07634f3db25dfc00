from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.rows import received
from afresh.state.rows.received import PAGE, PAGE_VERSION, ReceivedWindow
from afresh.state.store.changes import Change
from afresh.state.store.rows import MemoryRows
from afresh.state.versions import RowVersionError

SMALL_PAGE = 4

runs = st.lists(st.lists(st.integers(1, 60), max_size=12), max_size=15)


def reference(accepted: list[int], pages: int) -> set[int]:
    """Return the keys that a window of ``pages`` pages knows after it took in all of ``accepted``."""
    page = (len(accepted) - 1) // SMALL_PAGE
    return set(accepted[max(0, page - pages + 1) * SMALL_PAGE :])


def write(window: ReceivedWindow, rows: MemoryRows, since: int) -> list[bytes]:
    change = Change(rows, 1)
    window.write(change, since)
    written = [key for key, _ in change.records() if key]
    change.apply(0)
    return written


@given(runs, st.integers(1, 5), st.sets(st.integers(0, 14)))
def test_the_window_equals_a_list_of_all_keys_even_when_rebuilt_from_its_rows(
    keys: list[list[int]], pages: int, rebuilt_after: set[int]
) -> None:
    with patch.object(received, "PAGE", SMALL_PAGE):
        rows, accepted = MemoryRows(), list[int]()
        window = ReceivedWindow(rows, pages * SMALL_PAGE)
        for number, run in enumerate(keys):
            since = window.remembered
            for key in run:
                new = key not in reference(accepted, pages)
                assert window.remember(key) == new
                accepted += [key] * new
            write(window, rows, since)
            assert window.remembered == len(accepted)
            if number in rebuilt_after:
                window = ReceivedWindow(rows, pages * SMALL_PAGE)


@given(st.lists(st.integers(1, 60), max_size=80), st.sets(st.integers(0, 80)))
def test_the_rows_are_the_same_wherever_the_runs_end(keys: list[int], ends: set[int]) -> None:
    with patch.object(received, "PAGE", SMALL_PAGE):
        whole, cut = MemoryRows(), MemoryRows()
        for rows, cuts in ((whole, {len(keys)}), (cut, ends | {len(keys)})):
            window, since = ReceivedWindow(rows, 3 * SMALL_PAGE), 0
            for number, key in enumerate([*keys, 0]):
                if number in cuts:
                    write(window, rows, since)
                    since = window.remembered
                if key:
                    window.remember(key)
        assert cut == whole


def test_the_order_in_which_pages_are_recovered_does_not_matter() -> None:
    rows = MemoryRows()
    window = ReceivedWindow(rows, 3 * PAGE)
    for key in range(1, 5 * PAGE + 10):
        window.remember(key)
    write(window, rows, 0)
    turned = dict(reversed(rows.items()))
    assert ReceivedWindow(turned, 3 * PAGE).remembered == window.remembered


def test_a_window_remembers_at_least_its_size_minus_one_page() -> None:
    window = ReceivedWindow({}, 2 * PAGE)
    for key in range(1, 2 * PAGE + 2):
        assert window.remember(key)
    assert not window.remember(PAGE + 1)
    assert window.remember(PAGE)


def test_a_size_below_one_page_counts_as_one_page() -> None:
    window = ReceivedWindow({}, 1)
    for key in range(1, PAGE + 1):
        assert window.remember(key)
    assert not window.remember(1)


def test_a_window_of_size_0_drops_nothing_and_writes_nothing() -> None:
    window, rows = ReceivedWindow({}, 0), MemoryRows()
    assert window.remember(7)
    assert window.remember(7)
    assert write(window, rows, 0) == []


def test_a_run_writes_only_the_pages_that_it_filled() -> None:
    rows = MemoryRows()
    window = ReceivedWindow(rows, 8 * PAGE)
    for key in range(1, 3 * PAGE):
        window.remember(key)
    assert len(write(window, rows, 0)) == 3
    window.remember(10**6)
    assert len(write(window, rows, window.remembered - 1)) == 1


def test_a_run_longer_than_the_window_writes_every_page_once() -> None:
    window = ReceivedWindow({}, 2 * PAGE)
    for key in range(1, 7 * PAGE):
        window.remember(key)
    assert len(write(window, MemoryRows(), 0)) == 2


@pytest.mark.parametrize("key", [1, 2**64 - 1])
def test_keys_of_64_bits_survive_the_rows(key: int) -> None:
    rows = MemoryRows()
    window = ReceivedWindow(rows, PAGE)
    window.remember(key)
    write(window, rows, 0)
    assert not ReceivedWindow(rows, PAGE).remember(key)


def page(version: int) -> bytes:
    return np.array([version << 56 | 3, 11, 12], "<u8").tobytes()


def test_a_page_of_this_version_is_read() -> None:
    assert ReceivedWindow(MemoryRows({b"\3": page(PAGE_VERSION)}), 4 * PAGE).remembered == 3 * PAGE + 2


@pytest.mark.parametrize(
    ("packed", "what"),
    [
        (
            page(PAGE_VERSION + 1),
            "page of event ids has version 1; this program knows 0: start the afresh that",
        ),
        (page(PAGE_VERSION)[:-1], "page of event ids has a length that this program does not know"),
        (b"", "page of event ids has a length that this program does not know"),
    ],
)
def test_a_page_of_an_unknown_version_or_length_is_refused(packed: bytes, what: str) -> None:
    with pytest.raises(RowVersionError, match=what):
        ReceivedWindow(MemoryRows({b"\0": packed}), PAGE)
