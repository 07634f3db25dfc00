"""Embeddings of all texts of a log, computed once and kept in the user's cache folder."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from afresh.models.arrays import Halves
from afresh.models.encoder import Encoder, NotInstalled, Options, load, version_of
from afresh.state.errors import AfreshError, mendable
from afresh.state.rows.content import content_hash
from afresh.streams.settings import NO_ENCODER

Vectors = dict[int, Halves]
"""Embeddings, by the hash of their text."""

AT_ONCE = 1024
"""Texts encoded between two reports of progress."""

Say = Callable[[int, int], None]


class Texts:
    """The encoder of a deployment, with a cache on disk.

    Parameters
    ----------
    encoder
        Name of the encoder. If it is ``none`` or empty, texts have no embedding.
    options
        How the encoder is run.

    Attributes
    ----------
    name, version
        Name and version of the encoder; empty if there is none.

    Raises
    ------
    AfreshError
        If no encoder has this name.
    """

    def __init__(self, encoder: str, options: Options) -> None:
        self.name = "" if encoder == NO_ENCODER else encoder
        self._options = options
        with _explained():
            self.version = version_of(self.name, options) if self.name else ""

    def vectors(self, texts: Iterable[str], say: Say = lambda _done, _total: None) -> Vectors:
        """Return the embeddings of texts, from the cache where it has them; none of a text that cannot be encoded.

        Raises
        ------
        AfreshError
            If the encoder cannot be loaded or used, or the cache folder cannot be written.
        """
        if not self.name:
            return {}
        wanted = {content_hash(text): text for text in texts if text}
        file = cache_folder() / f"{self.version}.npz"
        known = _read(file)
        missing = sorted(wanted.keys() - known.keys(), key=lambda key: len(wanted[key]))
        if missing:
            with _explained():
                encoder = load(self.name, self._options)
            made = self._encode(encoder, missing, wanted, say)
            # Read again: another evaluation may have cached texts in the meantime, and they must not be lost.
            known = _read(file) | known | made
            if made:
                _keep(file, known)
        return {key: known[key] for key in wanted if key in known}

    @staticmethod
    def _encode(encoder: Encoder, missing: Sequence[int], texts: dict[int, str], say: Say) -> Vectors:
        made: Vectors = {}
        for start in range(0, len(missing), AT_ONCE):
            say(start, len(missing))
            keys = missing[start : start + AT_ONCE]
            with _explained():
                vectors = encoder.encode([texts[key] for key in keys])
            found = zip(keys, vectors.astype(np.float16), strict=True)
            made.update((key, vector) for key, vector in found if np.isfinite(vector).all())
        return made


@contextmanager
def _explained() -> Iterator[None]:
    with mendable(ValueError):
        try:
            yield
        except NotInstalled as error:
            raise AfreshError(f"{error}, or evaluate with --no-text") from error


def cache_folder() -> Path:
    """Return the folder of the cached embeddings, below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "afresh" / "embeddings"


def _read(file: Path) -> Vectors:
    """Read the cached embeddings; none if the file is missing or damaged."""
    try:
        with np.load(file) as kept:
            return dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _keep(file: Path, vectors: Vectors) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: two evaluations at once must not leave half a file.
        written = file.with_name(f"{file.stem}.{os.getpid()}.npz")
        np.savez(written, keys=np.array(list(vectors), np.uint64), vectors=np.stack(list(vectors.values())))
        written.replace(file)
    except OSError as error:
        raise AfreshError(
            f"the cache folder {file.parent} cannot be written ({error.strerror}); set XDG_CACHE_HOME to another folder"
        ) from error
