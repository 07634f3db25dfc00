"""Readers: the encoders that an embed worker has loaded, as the plan wants them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from afresh.models.encoder import Encoder
from afresh.models.encoder.base import Kind
from afresh.state.encoders import Named, Plan
from afresh.state.errors import AfreshError
from afresh.streams.encoders import load_encoder
from afresh.streams.settings import Settings
from afresh.streams.stages.gathering import Gathering

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
UNKNOWN_SECONDS = 10.0
"""Longest wait for an encoder that the plan does not name: its record may be read a moment later than the request."""


@dataclass(frozen=True)
class Reader:
    """An encoder, and what gathers texts for it.

    Attributes
    ----------
    encoder
        The encoder.
    gathering
        Gathers the texts of items.
    questions
        Gathers the texts of questions, by their kind: they are read beside those of items.
    """

    encoder: Named
    gathering: Gathering
    questions: Mapping[Kind, Gathering]


class Readers:
    """The encoders of an embed worker. Without a plan it has that of the settings.

    Parameters
    ----------
    settings
        Settings of the deployment.

    Attributes
    ----------
    own
        The encoder that the settings name.
    plan
        What is wanted; None as long as nobody has planned anything.

    Raises
    ------
    AfreshError
        When the encoder of the settings cannot be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        loaded = load_encoder(settings)
        self.own = Named(loaded.name, loaded.version)
        self.plan: Plan | None = None
        self._readers = {self.own.version: self._reader(self.own, loaded)}
        self._refused: set[Named] = set()

    def _reader(self, named: Named, encoder: Encoder) -> Reader:
        most = self._settings.encoder_batch
        questions = {
            kind: Gathering(partial(encoder.encode, kind=kind, soon=True), most) for kind in get_args(Kind)
        }
        return Reader(named, Gathering(encoder.encode, most), questions)

    def __getitem__(self, version: str) -> Reader:
        return self._readers[version]

    def __contains__(self, version: str) -> bool:
        return version in self._readers

    def versions(self, asked: Iterable[str]) -> list[str]:
        """Return the versions that are to read a text of which these are asked for; none: all."""
        return list(asked) or list(self._readers)

    async def load(self) -> None:
        """Load what the plan wants, and let go of all else."""
        wanted = self._usable()
        for each in wanted:
            if each.version not in self._readers and (reader := await self._loaded(each)) is not None:
                self._readers[each.version] = reader
        if wanted:
            kept = {each.version for each in wanted}
            self._readers = {version: each for version, each in self._readers.items() if version in kept}

    async def _loaded(self, named: Named) -> Reader | None:
        settings = self._settings.model_copy(update={"encoder": named.name})
        try:
            encoder = await asyncio.to_thread(load_encoder, settings)
        except AfreshError as error:
            reason = str(error)
        else:
            if encoder.version == named.version:
                logger.info("The encoder %s of version %s reads texts from now on", named.name, named.version)
                return self._reader(named, encoder)
            reason = f"here it has version {encoder.version}: files or AFRESH_ENCODER_ settings differ"
        logger.error(
            "The encoder %s of version %s is wanted and cannot be used here, so that other embed workers must read for "
            "it: %s",
            *(named.name, named.version, reason),
        )
        self._refused.add(named)
        return None

    async def wait_for(self, versions: Sequence[str]) -> None:
        """Wait until encoders are loaded; not for long for one that the plan does not name, or that is refused."""
        deadline = time.monotonic() + UNKNOWN_SECONDS
        while waits := {each for each in versions if each not in self}:
            coming = {each.version for each in self._usable()}
            if not waits & coming and time.monotonic() > deadline:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _usable(self) -> list[Named]:
        wanted = [] if self.plan is None else self.plan.wanted
        return [each for each in wanted if each not in self._refused]
