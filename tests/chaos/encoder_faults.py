"""Faults of the embed worker, and of the encoders that it reads texts by."""

from __future__ import annotations

import signal
from pathlib import Path

from afresh.deploy.embeddings import look, refresh
from afresh.state.encoders import THRESHOLD
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from tests.chaos.fault import Fault
from tests.chaos.load import ITEMS
from tests.models.encoder.making import bert

LOOK_SECONDS = 0.02


class EmbedKilled(Fault):
    """The embed worker is killed in the middle of a batch, as the kernel does if memory runs out."""

    name = "embed-worker-killed"
    place = "embed"

    def inject(self) -> None:
        """Change all texts, and kill the embed worker while it encodes."""
        for number in range(ITEMS):
            self.scene.load.item(number)
        if not self.pipeline.wait_until(self._encodes, LOOK_SECONDS):
            raise AssertionError("the embed worker did not begin to encode after texts changed")
        self.pipeline.embed.signal(signal.SIGKILL)
        self.pipeline.embed.wait_for_end()

    def _encodes(self) -> bool:
        return self.pipeline.embed.page.read().total("afresh_embedding_queue") > 0


class EncoderChanged(Fault):
    """Lists change over to another encoder, and the embed worker is killed once that has read the first texts.

    Later faults may come before all is read. The trial looks at its end whether lists are made from the last encoder.
    """

    name = "encoder-changed"
    place = "embed"

    def inject(self) -> None:
        """Ask for the encoder that texts are not read by now, and kill the embed worker."""
        settings = self.pipeline.settings
        found = look(settings)
        newest = settings.encoder if found.plan is None else found.plan.wanted[0].name
        other = str(second_encoder(self.pipeline.folder)) if newest == settings.encoder else settings.encoder
        version = refresh(settings, other, THRESHOLD).version
        if not self.pipeline.wait_until(lambda: self._is_read_by(version), LOOK_SECONDS):
            raise AssertionError(f"the encoder of version {version} did not begin to read texts")
        self.pipeline.embed.signal(signal.SIGKILL)
        self.pipeline.embed.wait_for_end()

    def _is_read_by(self, version: str) -> bool:
        pages = (each.page.read() for each in self.pipeline.workers if each.wanted)
        return any(page.total("afresh_encoder_items", version=version) for page in pages)


def second_encoder(folder: Path) -> Path:
    """Return the folder of an encoder that is not the one of the settings; the first call makes it."""
    made = folder / "second-encoder"
    return made if made.exists() else bert(made)


def unsettled(settings: Settings) -> str:
    """Say in a few words why lists are not yet made from the newest encoder that is wanted, or empty if they are."""
    try:
        found = look(settings)
    except AfreshError as error:
        return str(error)
    if found.plan is None:
        return "no encoder is wanted"
    newest = found.plan.wanted[0]
    if found.used != newest.version:
        return f"lists are made from version {found.used} of an encoder, and not from {newest.version}"
    read = found.read.get(newest, 0)
    return "" if read == found.items else f"{newest.name} has read {read} of {found.items} items"
