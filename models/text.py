"""Likeness of text: how near every item's embedding is to those of a user's recent items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.rank import NONE

Indices = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def scores(history: Indices, asked: Floats, embeddings: Floats) -> Floats:
    """Cosine between every item and the weighted mean of the items of a history, 0 if negative.

    Parameters
    ----------
    history
        Items of each user, shape (U, L); ``NONE`` for none.
    asked
        Their weights, shape (U, L).
    embeddings
        Of every item, unit length, or all 0 while unknown, shape (N, E).

    Returns
    -------
    Shape (U, N); 0 for items and users of whom no text is known.

    Examples
    --------
    >>> embeddings = np.eye(3, 2, dtype=np.float32)
    >>> scores(np.array([[0, -1]], np.int32), np.ones((1, 2), np.float32), embeddings).tolist()
    [[1.0, 0.0, 0.0]]
    """
    weights = np.where(history != NONE, asked, 0)
    profiles = np.matmul(weights[:, None, :], embeddings[history])[:, 0, :]
    lengths = np.linalg.norm(profiles, axis=1, keepdims=True)
    profiles /= np.where(lengths > 0, lengths, 1)
    return np.asarray(np.maximum(profiles @ embeddings.T, 0), np.float32)
