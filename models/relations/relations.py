"""Relations: which items belong together, derived from the rows of all items at once.

S[i, a] says how strongly item a came before item i, m_i is the mass of row i (``models.learning.neighbours``), and t_ij
is the cosine of two texts. Both directions are added, and then normalised. The normalisation lies between plain counts
(p = 0) and cosine similarity (p = 0.5; Sarwar et al. 2001, Item-based collaborative filtering):

    B = S + Sᵀ + k (T + Tᵀ),  T[i, j] = t_ij**s,  M_i = 2 m_i + sum_j k (T + Tᵀ)[i, j],
    A[i, j] = B[i, j] / ((M_i + c) (M_j + c))**p.

The text is the prior. Its part is fixed: it decides where few events are known, and fades as more come. Smoothing
removes the noise in A. With the R largest eigenvalues L of A and their eigenvectors V, the items keep
P = V L**(1/4), and

    W[a, j] = max(0, P_a · P_j + mu A[a, j]).

The root of the eigenvalues lets weaker directions count. With the eigenvalues themselves lists were clearly worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from afresh.models.arrays import NONE, Floats, Indices, Keys, Places
from afresh.models.compiled import compiled

EXPONENT = np.float32(0.45)
"""p. This value and the next two were chosen on the first half of MovieLens 100K."""

SHRINKAGE = np.float32(3.0)
"""c: holds items with little mass back."""

RANK = 100
"""R: number of eigenvalues that are kept."""

PRIOR = np.float32(0.5)
"""k: a text with cosine 1 counts like ``PRIOR`` visits in which both items were taken."""

SHARPNESS = np.float32(8.0)
"""s: spreads the cosines of texts, which lie close together."""

WEAK = 0.1
"""Eigenvalues below this share of the largest one move vectors less than they would; see ``pull_of``."""

STEPS = 4
"""Steps of the subspace iteration. With two steps the hit rate of lists was .002 lower."""


@dataclass(frozen=True)
class Relations:
    """Relations of N items.

    Attributes
    ----------
    related, strengths
        For each item the columns of the K largest values in its row of A, largest first, and the values: shape (N, K),
        ``NONE`` and 0 for none.
    vectors
        P, shape (N, ``RANK``).
    mass
        M, shape (N,).
    pull
        What a vector follows a change of its row of A by, see ``pull_of``, shape (``RANK``,).
    """

    related: Indices
    strengths: Floats
    vectors: Floats
    mass: Floats
    pull: Floats


def relate(
    keys: Keys,
    counts: tuple[Indices, Floats],
    mass: Floats,
    likeness: tuple[Indices, Floats],
    capacity: int,
) -> Relations:
    """Derive the relations of items; the result depends on the arguments alone, not on earlier results.

    Parameters
    ----------
    keys
        Keys of the items, shape (N,).
    counts
        Neighbours of each item in S, and their weights, shape (N, C); ``NONE`` for none.
    mass
        m, shape (N,).
    likeness
        For each item the items of nearest text, and their cosines, shape (N, T); ``NONE`` for none.
    capacity
        K.

    Examples
    --------
    >>> near = np.array([[1], [0], [-1]], np.int32), np.array([[2.0], [4.0], [0.0]], np.float32)
    >>> none = np.full((3, 1), -1, np.int32), np.zeros((3, 1), np.float32)
    >>> relations = relate(np.arange(1, 4, dtype=np.uint64), near, np.array([2, 4, 0], np.float32), none, 2)
    >>> relations.related.tolist()
    [[1, -1], [0, -1], [-1, -1]]
    """
    pairs = _both_directions(*counts)
    by_text = _both_directions(likeness[0], PRIOR * np.maximum(likeness[1], 0) ** SHARPNESS)
    total = (2 * mass + np.asarray(by_text.sum(axis=1)).ravel()).astype(np.float32)
    scale = (total + SHRINKAGE) ** -EXPONENT
    matrix = scaled((pairs + by_text).tocsr(), scale, scale)
    related, strengths = largest(matrix, capacity)
    vectors, values = _smooth(matrix, keys)
    return Relations(related, strengths, vectors, total, pull_of(values))


def _both_directions(others: Indices, weights: Floats) -> sparse.csr_array:
    """Return the weights of pairs of items, added over both directions, without the diagonal; shape (N, N)."""
    one_way = pairs_of(others, weights)
    return (one_way + one_way.T).tocsr()


def pairs_of(others: Indices, weights: Floats) -> sparse.csr_array:
    """Return the weight of each pair of items, shape (N, N), without the diagonal.

    Parameters
    ----------
    others, weights
        Other items of each item, and their weights, shape (N, C); ``NONE`` for none.
    """
    items, columns = np.nonzero((others != NONE) & (weights > 0))
    partners, values = others[items, columns], weights[items, columns]
    apart = items != partners
    shape = (len(others), len(others))
    return sparse.csr_array((values[apart], (items[apart], partners[apart])), shape, np.float32)


def scaled(matrix: sparse.csr_array, rows: Floats, columns: Floats) -> sparse.csr_array:
    """Multiply the rows and the columns of a matrix by factors, in place, and sort the columns of each row.

    Examples
    --------
    >>> matrix = sparse.csr_array(np.array([[0, 1], [1, 1]], np.float32))
    >>> scaled(matrix, np.array([2, 3], np.float32), np.array([1, 10], np.float32)).toarray().tolist()
    [[0.0, 20.0], [3.0, 30.0]]
    """
    matrix.data *= np.repeat(rows, np.diff(matrix.indptr))
    matrix.data *= columns[matrix.indices]
    matrix.sort_indices()
    return matrix


def largest(matrix: sparse.csr_array, capacity: int) -> tuple[Indices, Floats]:
    """Find the largest values of every row, largest first; ties go to the lower column.

    The columns of each row must ascend, and the values must be float32 and not negative. Returns columns and values,
    both of shape (N, capacity), ``NONE`` and 0 for none.
    """
    shape = (matrix.shape[0], capacity)
    related, strengths = np.full(shape, NONE, np.int32), np.zeros(shape, np.float32)
    starts, columns = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)
    take_largest(starts, columns, matrix.data, related, strengths)
    return related, strengths


@compiled
def take_largest(
    starts: Places, columns: Indices, values: Floats, related: Indices, strengths: Floats
) -> None:
    """Take the largest values of every row of a sparse matrix; see ``largest``."""
    for row in range(len(related)):
        theirs = values[starts[row] : starts[row + 1]]
        order = np.argsort(-theirs, kind="mergesort")[: related.shape[1]]
        for place, found in enumerate(order):
            related[row, place], strengths[row, place] = columns[starts[row] + found], theirs[found]


def _smooth(matrix: sparse.csr_array, keys: Keys) -> tuple[Floats, Floats]:
    """Compute P and L by subspace iteration with a Rayleigh-Ritz step.

    See Saad 2011, Methods for Large Eigenvalue Problems.
    """
    vectors, found = np.zeros((len(keys), RANK), np.float32), np.zeros(RANK, np.float32)
    if not matrix.nnz:
        return vectors, found
    basis = _signs(keys)
    for _ in range(STEPS):
        basis = np.linalg.qr(matrix @ basis)[0]
    image = matrix @ basis
    values, turn = np.linalg.eigh((basis.T @ image).astype(np.float64))
    roots = np.maximum(values, 0) ** 0.25
    vectors[:, : len(roots)] = basis @ (turn * roots).astype(np.float32)
    found[: len(values)] = values
    return vectors, found


def pull_of(values: Floats) -> Floats:
    """Return L**-1 for each eigenvalue, shape (R,); less for a small one, and 0 for one that is not positive.

    A change of A moves a weak direction far, and the others of its kind elsewhere: to first order, that is noise.
    """
    weak = max(WEAK * float(values.max(initial=0)), WEAK**2)
    return np.asarray(np.where(values > 0, values / (values**2 + weak**2), 0), np.float32)


def _signs(keys: Keys) -> Floats:
    """Return where the iteration starts: signs from a hash of each key, shape (N, RANK).

    The signs of an item depend on its key alone: a new item does not change those of others.
    """
    hashes = [_mix(keys ^ _mix(np.full(1, seed, np.uint64))) for seed in range(-(-RANK // 64))]
    bits = np.concatenate(
        [np.unpackbits(each.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1) for each in hashes], axis=1
    )
    return 2 * bits[:, :RANK].astype(np.float32) - 1


def _mix(keys: Keys) -> Keys:
    """Hash by the finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
