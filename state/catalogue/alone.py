"""A Catalogue with a model of its own, in one process: for evaluation, for audits, and for tests."""

from __future__ import annotations

from collections.abc import Mapping

from afresh.models.relations.near_texts import NearTexts
from afresh.state.catalogue.catalogue import Catalogue, Latest
from afresh.state.model.model import Model, version_of


class AloneCatalogue(Catalogue):
    """A Catalogue whose rows go to a model, too, and that takes in at once what the model tells.

    Parameters
    ----------
    near
        Keeps which texts are near each other.
    declared
        As for ``Catalogue``.
    """

    def __init__(self, near: NearTexts | None = None, declared: Mapping[str, int] | None = None) -> None:
        super().__init__(declared)
        self._own = Model(near)

    def apply_behaviour(self, latest: Latest) -> None:
        """Take in the newest behaviour rows, by item id."""
        super().apply_behaviour(latest)
        self._own.rows.apply_behaviour(latest)

    def apply_content(self, latest: Latest) -> None:
        """Take in the newest content rows, by item id."""
        super().apply_content(latest)
        self._own.rows.apply_content(latest)

    def use(self, encoder: str) -> None:
        """Derive from the vectors of a version of an encoder, from now on."""
        self._own.encoder = encoder
        self._own.rows.embeddings.use(encoder)

    def derive(self) -> None:
        """Derive a version from all rows, if they have changed since the last one, and take it in."""
        self._own.change_over()
        while self._own.reads_texts():
            self.revise()
        if self._own.is_outdated():
            snapshot = self._own.snapshot()
            stands = version_of(snapshot)
            version = self._own.version + 1
            for message in self._own.tell_version(version, snapshot.keys, stands):
                self.take(message)
            self.take(self._own.install(version, stands))

    def revise(self) -> None:
        """Revise the version that stands by what has changed since, and take in what is told."""
        for message in self._own.revise(self._own.changes()):
            self.take(message)
