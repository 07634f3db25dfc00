import msgspec
import pytest

from afresh.state.rows import intake
from afresh.state.rows.intake import InputProgress, IntakeRow, IntakeState
from afresh.state.versions import RowVersionError

ROW = bytes.fromhex("93010700")
STATE = bytes.fromhex("920181a56974656d7392cf0000018bcfe56800cf0000018bcfe56801")
"""A row and a state as the first version of these layouts wrote them."""


def test_rows_and_states_of_the_first_version_are_read_and_written_so() -> None:
    state = IntakeState(reached={"items": InputProgress(1_700_000_000_000, 1_700_000_000_001)})
    assert (intake.unpack(ROW), intake.unpack_state(STATE)) == (IntakeRow(offset=7), state)
    assert (intake.pack(IntakeRow(offset=7)), intake.pack(state)) == (ROW, STATE)


def test_a_partition_that_has_no_state_has_not_begun() -> None:
    assert intake.unpack_state(b"").of("items").compared == 0


@pytest.mark.parametrize("unpack", [intake.unpack, intake.unpack_state])
def test_a_newer_version_is_refused(unpack: object) -> None:
    with pytest.raises(RowVersionError, match="intake has version 2"):
        unpack(msgspec.msgpack.encode([2]))  # type: ignore[operator]
