import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.rows import behaviour
from afresh.state.rows.behaviour import BEHAVIOUR_ROW_VERSION, ROW, BehaviourRows
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.versions import RowVersionError

ids = st.binary(min_size=1, max_size=8)


def with_rows(items: list[bytes]) -> BehaviourRows:
    rows = BehaviourRows({})
    for item in items:
        rows.array[rows.number_of(item)]["mass"] += 1
    return rows


@given(st.lists(ids, max_size=200), st.randoms(use_true_random=False))
def test_numbers_survive_recovery_from_a_compacted_changelog_in_any_order(
    items: list[bytes], draw: random.Random
) -> None:
    rows = with_rows(items)
    log = [(item, rows.packed(rows.number[item])) for item in rows.ids] + [(PARTITION_ROW_KEY, b"own")]
    draw.shuffle(log)
    recovered = BehaviourRows(dict(log))
    assert recovered.number == rows.number
    assert recovered.ids == rows.ids == list(dict.fromkeys(items))
    assert recovered.array[: len(rows)].tobytes() == rows.array[: len(rows)].tobytes()
    assert recovered.number_of(b"a new item") == len(rows)


def test_a_row_knows_its_number_and_version() -> None:
    rows = with_rows([b"a", b"b"])
    row = behaviour.unpack([rows.packed(1)])[0]
    assert (row["number"], row["version"]) == (1, BEHAVIOUR_ROW_VERSION)


def test_rows_are_kept_when_the_array_grows() -> None:
    rows = BehaviourRows({})
    for number in range(1000):
        assert rows.number_of(b"%d" % number) == number
        rows.array[number]["examples"] = number
    assert rows.array["examples"][:1000].tolist() == list(range(1000))


@given(st.binary(min_size=1, max_size=64))
def test_a_row_of_any_numbers_is_the_same_after_packing(filling: bytes) -> None:
    row = np.frombuffer((filling * ROW.itemsize)[: ROW.itemsize], ROW).copy()
    row["version"] = BEHAVIOUR_ROW_VERSION
    assert behaviour.unpack([row.tobytes()]).tobytes() == row.tobytes()


def test_no_bytes_unpack_to_no_rows() -> None:
    assert len(behaviour.unpack([])) == 0


def test_a_row_of_a_newer_version_is_refused_by_name() -> None:
    newer = np.zeros(1, ROW)
    newer["version"] = BEHAVIOUR_ROW_VERSION + 1
    with pytest.raises(RowVersionError, match=r"behaviour row has version 4; this program knows 3"):
        behaviour.unpack([with_rows([b"a"]).packed(0), newer.tobytes()])


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(RowVersionError, match="length"):
        behaviour.unpack([bytes([BEHAVIOUR_ROW_VERSION]) + bytes(ROW.itemsize)])
    with pytest.raises(RowVersionError, match="length"):
        behaviour.unpack([bytes([BEHAVIOUR_ROW_VERSION])])


@pytest.mark.parametrize("columns", [[], [0], [0, 1, 2], [3]])
def test_a_packed_row_ends_with_its_last_neighbour(columns: list[int]) -> None:
    rows = with_rows([b"a"])
    rows.array["pairs"]["key"][0, columns] = 7
    rows.array["pairs"]["weight"][0, columns] = 0.5
    packed = rows.packed(0)
    assert len(packed) == behaviour.LEAST_BYTES + behaviour.PAIR_BYTES * (max(columns, default=-1) + 1)
    assert behaviour.unpack([packed]).tobytes() == rows.array[:1].tobytes()


def test_a_row_of_80_neighbours_and_an_embedding_of_384_numbers_need_at_most_2_kib() -> None:
    assert behaviour.LEAST_BYTES + 80 * behaviour.PAIR_BYTES + 384 * 2 <= 2048
