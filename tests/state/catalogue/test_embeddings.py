import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.catalogue.embeddings import Embeddings

OLD, NEW = ("minilm", "1"), ("minilm", "2")


def vector(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(numbers, np.float32)


def test_nothing_is_known_at_first() -> None:
    assert Embeddings().matrix(3).tolist() == [[0.0], [0.0], [0.0]]


def test_rows_without_an_embedding_are_0() -> None:
    embeddings = Embeddings()
    embeddings.put_vector(2, OLD, vector(1, 2))
    assert embeddings.matrix(4).tolist() == [[0, 0], [0, 0], [1, 2], [0, 0]]


def test_a_new_encoder_takes_over_at_once_when_it_has_the_majority() -> None:
    embeddings = Embeddings()
    for row in range(4):
        embeddings.put_vector(row, OLD, vector(row, 1))
    for row in range(2):
        embeddings.put_vector(row, NEW, vector(row, 1, 1))
    assert embeddings.matrix(4).tolist() == [[0, 0], [0, 0], [2, 1], [3, 1]]
    embeddings.put_vector(2, NEW, vector(2, 1, 1))
    assert embeddings.matrix(4).tolist() == [[0, 1, 1], [1, 1, 1], [2, 1, 1], [0, 0, 0]]


def test_an_encoder_of_which_nothing_is_left_is_forgotten() -> None:
    embeddings = Embeddings()
    embeddings.put_vector(0, OLD, vector(1, 1))
    embeddings.put_vector(0, NEW, vector(1, 1, 1))
    embeddings.drop(0)
    assert embeddings.matrix(1).tolist() == [[0.0]]


def test_dropping_what_is_not_there_does_nothing() -> None:
    embeddings = Embeddings()
    embeddings.put_vector(1, OLD, vector(1))
    embeddings.drop(0)
    assert embeddings.matrix(2).tolist() == [[0], [1]]


def test_only_marked_rows_are_counted() -> None:
    embeddings = Embeddings()
    for row in range(3):
        embeddings.put_vector(row, OLD, vector(1))
    assert embeddings.count_embedded(np.array([True, False, True, True])) == 2


edits = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([None, OLD, NEW]), st.integers(1, 99)), max_size=40
)


@given(edits)
def test_the_matrix_is_that_of_the_encoder_with_most_rows(
    changes: list[tuple[int, tuple[str, str] | None, int]],
) -> None:
    embeddings, model = Embeddings(), dict[int, tuple[tuple[str, str], int]]()
    for row, encoder, number in changes:
        if encoder is None:
            embeddings.drop(row)
            model.pop(row, None)
        else:
            embeddings.put_vector(row, encoder, vector(number))
            model[row] = (encoder, number)
    matrix = embeddings.matrix(10)[:, 0].tolist()
    counts = {encoder: sum(held == encoder for held, _ in model.values()) for encoder in (OLD, NEW)}
    serving = max((OLD, NEW), key=lambda encoder: counts[encoder])  # the older one of equal ones
    assert matrix == [model[row][1] if row in model and model[row][0] == serving else 0 for row in range(10)]


@given(edits, st.integers(1, 5))
def test_every_change_of_the_matrix_is_given_once_a_few_at_a_time(
    changes: list[tuple[int, tuple[str, str] | None, int]], limit: int
) -> None:
    embeddings, known = Embeddings(), np.zeros((10, 1), np.float32)
    for row, encoder, number in changes:
        if encoder is None:
            embeddings.drop(row)
        else:
            embeddings.put_vector(row, encoder, vector(number))
        changed, waiting = embeddings.take_changed(10, limit)
        assert np.count_nonzero(changed & ~waiting) <= limit
        known[changed & ~waiting] = embeddings.matrix(10)[changed & ~waiting]
    while embeddings.changed:
        changed, waiting = embeddings.take_changed(10, limit)
        known[changed & ~waiting] = embeddings.matrix(10)[changed & ~waiting]
    assert (known == embeddings.matrix(10)).all()
