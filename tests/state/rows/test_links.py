import msgspec
import pytest

from afresh.state.moments import Moment
from afresh.state.people import Tie
from afresh.state.rows import links
from afresh.state.rows.links import LinkRow, LinkState
from afresh.state.versions import RowVersionError

ROW = LinkRow(moment=Moment(5, 1, 2), tie=Tie("device", 0.5, 4), canonical="p")
STATE = LinkState(number=7, time=8)
PACKED_ROW = bytes.fromhex("94019305010293a6646576696365cb3fe000000000000004a170")
PACKED_STATE = bytes.fromhex("93010708")
"""What the first version of these layouts wrote."""


def test_rows_and_states_of_the_first_version_are_read_and_written_so() -> None:
    assert (links.unpack(PACKED_ROW), links.unpack_state(PACKED_STATE)) == (ROW, STATE)
    assert (links.pack(ROW), links.pack(STATE)) == (PACKED_ROW, PACKED_STATE)
    assert (links.unpack(None), links.unpack_state(b"")) == (LinkRow(), LinkState())


@pytest.mark.parametrize("unpack", [links.unpack, links.unpack_state])
def test_links_of_a_newer_version_are_refused(unpack: object) -> None:
    with pytest.raises(RowVersionError, match="has version 2"):
        unpack(msgspec.msgpack.encode([2]))  # type: ignore[operator]


def test_moves_have_rising_times_and_numbers_whatever_the_clocks_of_brokers_say() -> None:
    state, found = LinkState(), []
    for appended in (1000, 1000, 7, 5000, -(2**60)):
        state.next(appended)
        found.append((state.time, state.number))
        state.number += 3
    assert found == [
        (1000, 1_000_000),
        (1001, 1_001_000),
        (1002, 1_002_000),
        (5000, 5_000_000),
        (5001, 5_001_000),
    ]


def test_the_same_links_taken_in_anew_give_no_smaller_numbers() -> None:
    """Rows of users would obey none of them."""
    first, again = LinkState(), LinkState()
    for state in (first, again):
        state.next(1_700_000_000_000)
    assert first.number == again.number == 1_700_000_000_000_000
