import pytest

from afresh.state.encoders import Named, Plan
from afresh.streams.messages import PLAN_KEY, encode
from afresh.streams.planning import planned

PLAN = Plan([Named("universal", "2"), Named("minilm", "1")], use="1", time=7, setting="1")


def test_a_plan_is_read_as_it_was_written() -> None:
    taken: list[Plan] = []
    planned(taken.append)({PLAN_KEY: encode(PLAN), b"other": b"x"})
    assert taken == [PLAN]


@pytest.mark.parametrize("value", [None, b"\xc1"])
def test_what_is_no_plan_is_ignored(value: bytes | None) -> None:
    planned(lambda _: pytest.fail("it is none"))({PLAN_KEY: value})
