from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from afresh.models.arrays import NONE
from afresh.models.layout import HORIZONS, TENURES
from afresh.models.retrieval.codes import decoded
from afresh.state.catalogue.alone import AloneCatalogue
from afresh.state.catalogue.catalogue import Catalogue, Known
from afresh.state.catalogue.growing import SMALLEST
from afresh.state.keys import key_of
from afresh.state.rows import behaviour, content
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import ContentRow, Vector
from afresh.state.store.marks import PARTITION_ROW_KEY
from afresh.state.versions import RowVersionError

ITEMS = [f"i{number}" for number in range(9)]

Row = tuple[str, dict[str, float], float]
"""An item, the weights of its neighbours, and its mass."""

item_rows = st.tuples(
    st.sampled_from(ITEMS),
    st.dictionaries(st.sampled_from(ITEMS), st.floats(0.125, 100, width=32), max_size=5),
    st.floats(0, 1000, width=32),
)


def packed_row(item: str, weights: dict[str, float], mass: float, number: int = 0) -> bytes:
    rows = BehaviourRows({})
    rows.number_of(item.encode())
    row = rows.array[0]
    row["number"], row["mass"], row["time"] = number, mass, 1000 + number
    row["pairs"]["key"][: len(weights)] = [key_of(each) for each in weights]
    row["pairs"]["weight"][: len(weights)] = list(weights.values())
    row["counts"][:] = mass + 1
    return rows.packed(0)


def apply(catalogue: Catalogue, *rows: Row) -> None:
    catalogue.apply_behaviour(
        {item.encode(): packed_row(item, weights, mass) for item, weights, mass in rows}
    )


def describe(catalogue: Catalogue, item: str, **fields: Any) -> None:
    row = ContentRow(**({"domain": "films", "title": item} | fields))
    catalogue.apply_content({item.encode(): content.pack(row)})


def vector(*numbers: float) -> bytes:
    return np.array(numbers, "<f2").tobytes()


def text_vector(version: str, *numbers: float) -> Vector:
    return Vector(content.TEXT, "minilm", version, 0, vector(*numbers))


def by_key(catalogue: AloneCatalogue) -> dict[str, Any]:
    """Return everything that the scorers read, by key, because indices depend on the order of arrival."""
    catalogue.derive()
    items = catalogue.items()
    order = np.argsort(items.keys)
    key_of_index = np.append(items.keys, 0)
    found: dict[str, Any] = {}
    for name, array in items._asdict().items():
        if name in ("related", "akin"):
            found[name] = key_of_index[array[order]].tolist()
        elif name == "heads":
            found[name] = key_of_index[array].tolist()
        else:
            found[name] = np.asarray(array, np.float64)[order]
    return found


def assert_equal(one: AloneCatalogue, other: AloneCatalogue) -> None:
    found, expected = by_key(one), by_key(other)
    for name, values in found.items():
        if name == "vectors":
            np.testing.assert_allclose(values @ values.T, expected[name] @ expected[name].T, atol=1e-4)
        elif isinstance(values, list):
            assert values == expected[name], name
        else:
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


contents = st.tuples(
    st.sampled_from(ITEMS), st.one_of(st.none(), st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.lists(item_rows, max_size=6, unique_by=lambda row: row[0]),
            st.lists(contents, max_size=4),
            st.booleans(),
        ),
        max_size=8,
    )
)
@limits(deadline=None, max_examples=60)
def test_a_catalogue_that_followed_every_change_equals_one_made_from_the_final_rows(
    updates: list[tuple[list[Row], list[tuple[str, tuple[int, int] | None]], bool]],
) -> None:
    """This holds for any order of rows, and for any moments of deriving."""
    followed, final, described = AloneCatalogue(), dict[str, Row](), dict[str, Any]()
    for item in ITEMS:
        describe(followed, item)
    for rows, texts, derived in updates:
        apply(followed, *rows)
        final |= {row[0]: row for row in rows}
        for item, numbers in texts:
            length = np.hypot(*numbers) if numbers else 0
            text = [text_vector("1", *(np.array(numbers) / length))] if length else []
            described[item] = {"vectors": text}
            describe(followed, item, **described[item])
        if derived:
            followed.derive()
    made = AloneCatalogue()
    for item in reversed(ITEMS):
        describe(made, item, **described.get(item, {}))
    if final:
        apply(made, *reversed(final.values()))
    assert_equal(followed, made)


def heads(catalogue: Catalogue) -> dict[str, list[int]]:
    of = catalogue.domains
    return {name: of.head(number, 9, catalogue.items()).tolist() for number, name in enumerate(of.names)}


def popularity(catalogue: Catalogue) -> list[float]:
    counts: list[float] = catalogue.popularity(np.arange(len(catalogue), dtype=np.int32)).tolist()
    return counts


def test_an_item_known_only_as_a_neighbour_has_an_index_and_no_name() -> None:
    catalogue = AloneCatalogue()
    apply(catalogue, ("i1", {"i2": 1.0}, 1.0))
    catalogue.derive()
    assert catalogue.ids == ["i1", ""]
    assert not catalogue.available.any()
    describe(catalogue, "i2")
    assert catalogue.ids == ["i1", "i2"]
    assert catalogue.available.tolist() == [False, True]


def test_behaviour_that_came_before_the_content_counts_when_the_content_comes() -> None:
    catalogue = AloneCatalogue()
    apply(catalogue, ("i1", {}, 4.0))
    describe(catalogue, "i1")
    assert heads(catalogue) == {"films": [0]}
    assert popularity(catalogue) == [5.0]


def test_items_keep_their_indices_and_values_when_the_arrays_grow() -> None:
    catalogue = AloneCatalogue()
    many = SMALLEST + 500
    for start in range(0, many, 300):
        names = [f"item {number}" for number in range(start, min(start + 300, many))]
        catalogue.apply_content(
            {n.encode(): content.pack(ContentRow(domain="films", title=n)) for n in names}
        )
        apply(catalogue, *((name, {"item 0": 1.0}, 2.0) for name in names))
    assert len(catalogue) == many
    assert catalogue.ids[-1] == f"item {many - 1}"
    assert catalogue.available.all()
    catalogue.derive()
    arrays = catalogue.items()
    assert (arrays.related[1:, 0] == 0).all()
    assert {len(array) for name, array in arrays._asdict().items() if name != "heads"} == {many}
    assert len(catalogue.domains.head(0, 2 * many, arrays)) == many


def test_indices_are_found_by_keys_in_any_shape() -> None:
    catalogue = AloneCatalogue()
    describe(catalogue, "i1")
    describe(catalogue, "i2")
    keys = np.array([[key_of("i2"), key_of("nobody")], [0, key_of("i1")]], np.uint64)
    assert catalogue.indices_of(keys).tolist() == [[1, NONE], [NONE, 0]]
    assert catalogue.known(key_of("nobody")) == Known(NONE, 0, 1.0)


def test_indices_are_found_by_the_lower_halves_of_keys() -> None:
    catalogue = AloneCatalogue()
    for item in ITEMS:
        describe(catalogue, item)
    halves = np.array([key_of(name) & 0xFFFFFFFF for name in ("i3", "nobody", "i1")], np.uint32)
    assert catalogue.indices_of_halves(halves).tolist() == [3, 1]


def test_an_item_that_is_not_available_or_deleted_is_in_no_domain() -> None:
    catalogue = AloneCatalogue()
    for item in ("gone", "hidden", "here"):
        describe(catalogue, item, available=item != "hidden")
    catalogue.apply_content({b"gone": None, PARTITION_ROW_KEY: b"own"})
    assert catalogue.available.tolist() == [False, False, True]
    assert heads(catalogue) == {"films": [2]}


def embeddings_of(catalogue: Catalogue) -> list[list[float]]:
    items = catalogue.items()
    embeddings: list[list[float]] = decoded(items.codes, items.scales).round(6).tolist()
    return embeddings


def test_a_deleted_item_that_is_fed_again_has_its_counts_and_needs_a_new_embedding() -> None:
    catalogue = AloneCatalogue()
    apply(catalogue, ("i1", {}, 4.0))
    describe(catalogue, "i1", vectors=[text_vector("1", 1, 0)])
    assert catalogue.embedded == 1
    catalogue.apply_content({b"i1": None})
    assert catalogue.embedded == 0
    assert not catalogue.items().scales.any()
    describe(catalogue, "i1")
    assert catalogue.available.tolist() == [True]
    assert popularity(catalogue) == [5.0]
    assert not catalogue.items().scales.any()


def test_an_item_whose_row_says_that_it_was_deleted_is_like_one_without_a_row() -> None:
    catalogue = AloneCatalogue()
    describe(catalogue, "i1", vectors=[text_vector("1", 1, 0)])
    describe(catalogue, "i1", deleted=True)
    describe(catalogue, "never there", deleted=True)
    assert (catalogue.available.tolist(), catalogue.embedded, catalogue.ids) == ([False], 0, ["i1"])


def test_of_vectors_of_several_kinds_and_versions_the_newest_of_the_text_counts() -> None:
    catalogue = AloneCatalogue()
    clicks = Vector("clicks", "sequences", "7", 0, vector(0, 0, 1))
    describe(catalogue, "i1", vectors=[clicks, text_vector("2", 0, 1), text_vector("1", 1, 0)])
    assert embeddings_of(catalogue) == [[0, 1]]


def test_deleting_an_unknown_item_makes_nothing_available() -> None:
    catalogue = AloneCatalogue()
    catalogue.apply_content({b"never there": None})
    assert not catalogue.available.any()


def test_deleted_behaviour_rows_and_partition_rows_change_nothing() -> None:
    catalogue = AloneCatalogue()
    catalogue.apply_behaviour({b"i1": None, PARTITION_ROW_KEY: b"own"})
    assert (len(catalogue), catalogue.version) == (0, 0)


def test_an_item_can_move_to_another_domain() -> None:
    catalogue = AloneCatalogue()
    describe(catalogue, "i1", domain="films")
    describe(catalogue, "i1", domain="books")
    assert heads(catalogue) == {"films": [], "books": [0]}


def test_a_new_encoder_takes_over_when_it_has_the_majority_of_the_items() -> None:
    catalogue = AloneCatalogue()
    for item in ("i1", "i2", "i3"):
        describe(catalogue, item, vectors=[text_vector("1", 1, 0)])
    for count, width in ((1, 2), (2, 3)):
        describe(catalogue, f"i{count}", vectors=[text_vector("2", 0, 0, 1)])
        assert catalogue.items().codes.shape == (3, width)
    assert embeddings_of(catalogue) == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_now_is_the_newest_time_of_all_rows() -> None:
    catalogue = AloneCatalogue()
    catalogue.apply_behaviour({b"i1": packed_row("i1", {}, 1.0, number=9)})
    catalogue.apply_behaviour({b"i2": packed_row("i2", {}, 1.0, number=3)})
    assert catalogue.now == 1009


def test_every_update_is_counted() -> None:
    catalogue = AloneCatalogue()
    apply(catalogue, ("i1", {}, 1.0))
    describe(catalogue, "i1")
    assert catalogue.version == 2


def test_rows_of_a_newer_program_are_refused_and_change_nothing() -> None:
    catalogue = AloneCatalogue()
    newer = np.zeros(1, behaviour.ROW)
    newer["version"] = behaviour.BEHAVIOUR_ROW_VERSION + 1
    with pytest.raises(RowVersionError):
        catalogue.apply_behaviour({b"i1": newer.tobytes()})
    with pytest.raises(RowVersionError):
        describe(catalogue, "i1", version=content.CONTENT_ROW_VERSION + 1)
    assert not catalogue.available.any()


def test_an_item_that_only_new_users_take_is_believed_only_to_the_usual_degree() -> None:
    catalogue, rows = AloneCatalogue(), BehaviourRows({})
    for number in range(50):
        row = rows.array[rows.number_of(f"i{number}".encode())]
        row["counts"][:] = 10.0
        row["counts"][0] = 10.0 * TENURES
    pushed = rows.array[rows.number_of(b"pushed")]
    pushed["counts"][[0, HORIZONS]] = 1000.0
    catalogue.apply_behaviour({item: rows.packed(number) for item, number in rows.number.items()})
    catalogue.derive()
    *others, pushed_count = popularity(catalogue)
    assert others == [10.0 * TENURES] * 50
    assert pushed_count < 10.0
    assert catalogue.known(key_of("pushed")).trust < 0.01
    assert catalogue.known(key_of("i0")).trust == 1.0
