import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.arrays import Indices
from afresh.models.retrieval.codes import decoded
from afresh.state.catalogue.embeddings import CodedEmbeddings, Embeddings, WholeEmbeddings
from afresh.state.rows.content import TEXT, Vector

OLD, NEW = ("minilm", "1"), ("minilm", "2")


def put(embeddings: Embeddings, index: int, encoder: tuple[str, str], *numbers: float) -> None:
    vector = np.array(numbers, "<f2").tobytes()
    embeddings.keep(items(index), [[Vector(TEXT, *encoder, 0, vector)]])


def items(*numbers: int) -> Indices:
    return np.array(numbers, np.int32)


def test_new_embeddings_are_all_0() -> None:
    assert WholeEmbeddings().matrix(3).tolist() == [[0.0], [0.0], [0.0]]


def test_items_without_an_embedding_have_vectors_of_0() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 2, OLD, 1, 2)
    assert embeddings.matrix(4).tolist() == [[0, 0], [0, 0], [1, 2], [0, 0]]


def test_a_new_encoder_takes_over_at_once_when_it_has_the_majority() -> None:
    embeddings = WholeEmbeddings()
    for index in range(4):
        put(embeddings, index, OLD, index, 1)
    for index in range(2):
        put(embeddings, index, NEW, index, 1, 1)
    assert embeddings.matrix(4).tolist() == [[0, 0], [0, 0], [2, 1], [3, 1]]
    put(embeddings, 2, NEW, 2, 1, 1)
    assert embeddings.matrix(4).tolist() == [[0, 1, 1], [1, 1, 1], [2, 1, 1], [0, 0, 0]]


def test_an_encoder_without_embeddings_is_forgotten() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 0, OLD, 1, 1)
    put(embeddings, 0, NEW, 1, 1, 1)
    embeddings.drop(items(0))
    assert embeddings.matrix(1).tolist() == [[0.0]]


def test_dropping_an_absent_embedding_does_nothing() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 1, OLD, 1)
    embeddings.drop(items(0))
    assert embeddings.matrix(2).tolist() == [[0], [1]]


def test_only_items_of_the_mask_are_counted() -> None:
    embeddings = WholeEmbeddings()
    for index in range(3):
        put(embeddings, index, OLD, 1)
    assert embeddings.count_embedded(np.array([True, False, True, True])) == 2


edits = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([None, OLD, NEW]), st.integers(1, 99)), max_size=40
)


@given(edits)
def test_the_matrix_is_that_of_the_encoder_with_most_items(
    changes: list[tuple[int, tuple[str, str] | None, int]],
) -> None:
    embeddings, model = WholeEmbeddings(), dict[int, tuple[tuple[str, str], int]]()
    for index, encoder, number in changes:
        if encoder is None:
            embeddings.drop(items(index))
            model.pop(index, None)
        else:
            put(embeddings, index, encoder, number)
            model[index] = (encoder, number)
    matrix = embeddings.matrix(10)[:, 0].tolist()
    counts = {encoder: sum(held == encoder for held, _ in model.values()) for encoder in (OLD, NEW)}
    serving = max((OLD, NEW), key=lambda encoder: counts[encoder])  # a tie goes to the older one
    assert matrix == [
        model[index][1] if index in model and model[index][0] == serving else 0 for index in range(10)
    ]


@given(edits)
def test_every_change_of_the_matrix_is_returned_once(
    changes: list[tuple[int, tuple[str, str] | None, int]],
) -> None:
    embeddings, known = WholeEmbeddings(), np.zeros((10, 1), np.float32)
    for index, encoder, number in changes:
        if encoder is None:
            embeddings.drop(items(index))
        else:
            put(embeddings, index, encoder, number)
        changed = embeddings.take_changed(10)
        known[changed] = embeddings.matrix(10)[changed]
        assert not embeddings.changed
    assert (known == embeddings.matrix(10)).all()


def test_lists_read_the_same_embeddings_as_codes() -> None:
    whole, coded_ones = WholeEmbeddings(), CodedEmbeddings()
    for embeddings in (whole, coded_ones):
        put(embeddings, 0, OLD, 0.6, 0.8)
        put(embeddings, 2, OLD, 1.0, 0.0)
        embeddings.drop(items(2))
    np.testing.assert_allclose(decoded(*coded_ones.codes(4)), whole.matrix(4), atol=1e-3)
    assert not coded_ones.codes(4)[1][1:].any()


def test_several_items_are_kept_at_once_whatever_encoders_have_read_them() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 3, OLD, 9, 9)
    vectors = [np.array(each, "<f2").tobytes() for each in ([1, 0], [0, 1], [5, 5, 5])]
    texts = [
        [Vector(TEXT, *OLD, 0, vectors[0])],
        [Vector(TEXT, *NEW, 0, vectors[2])],
        [],
        [Vector(TEXT, *OLD, 0, vectors[1])],
    ]
    embeddings.keep(items(4, 1, 3, 0), texts)
    assert embeddings.matrix(5).tolist() == [[0, 1], [0, 0], [0, 0], [0, 0], [1, 0]]
    assert embeddings.take_changed(5).tolist() == [0, 1, 2, 3, 4]
    embeddings.keep(items(4, 3), [[], []])
    assert embeddings.take_changed(5).tolist() == [4]


def test_vectors_of_another_length_are_those_of_another_encoder() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 0, OLD, 1, 2)
    put(embeddings, 1, OLD, 3, 4)
    put(embeddings, 2, OLD, 7)
    assert embeddings.matrix(3).tolist() == [[1, 2], [3, 4], [0, 0]]


VERSIONS = "1", "2", "3"

rows = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.dictionaries(st.sampled_from(VERSIONS), st.integers(1, 99)),
        st.sampled_from(("", *VERSIONS)),
    ),
    max_size=40,
)


@given(rows)
def test_of_several_versions_readers_see_the_one_that_is_used_and_every_change_of_it_once(
    changes: list[tuple[int, dict[str, int], str]],
) -> None:
    embeddings, model, known = WholeEmbeddings(), dict[int, dict[str, int]](), np.zeros((6, 1), np.float16)
    for index, read, used in changes:
        vectors = [
            Vector(TEXT, "minilm", version, 0, np.array([n], "<f2").tobytes()) for version, n in read.items()
        ]
        embeddings.keep(items(index), [vectors])
        embeddings.use(used)
        model[index] = read
        changed = embeddings.take_changed(6)
        known[changed] = embeddings.matrix(6)[changed]
        having = [held for held in model.values() if held]
        shares = {version: sum(version in held for held in having) for version in VERSIONS}
        assert embeddings.coverage() == {
            version: count / len(having) for version, count in shares.items() if count
        }
        assert (known == embeddings.matrix(6)).all()
        if shares.get(used):
            assert known[:, 0].tolist() == [model.get(each, {}).get(used, 0) for each in range(6)]


def test_without_a_version_to_use_the_encoder_counts_that_was_the_last_to_read_most_items() -> None:
    embeddings = WholeEmbeddings()
    old, new = (Vector(TEXT, *each, 0, np.array([n], "<f2").tobytes()) for n, each in ((1, OLD), (2, NEW)))
    embeddings.keep(items(0, 1, 2), [[new, old], [new, old], [old]])
    assert embeddings.matrix(3).tolist() == [[2], [2], [0]]
    embeddings.use("1")
    assert embeddings.matrix(3).tolist() == [[1], [1], [1]]
    assert embeddings.count_embedded(np.array([True, True, False])) == 2


def test_a_row_that_comes_again_with_a_vector_of_another_encoder_more_has_not_changed() -> None:
    embeddings = WholeEmbeddings()
    put(embeddings, 0, OLD, 1)
    embeddings.use("1")
    embeddings.take_changed(1)
    old, new = (Vector(TEXT, *each, 0, np.array([1], "<f2").tobytes()) for each in (OLD, NEW))
    embeddings.keep(items(0), [[new, old]])
    assert not embeddings.changed
