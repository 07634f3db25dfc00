from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.state.encoders import Named, Plan
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from afresh.streams.stages import readers as module
from afresh.streams.stages.readers import Readers

VERSIONS = {"small": "1", "large": "2"}


class FakeEncoder:
    """An encoder of a name."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, VERSIONS[name]

    def encode(self, texts: list[str]) -> Any:
        return np.ones((len(texts), int(self.version)), np.float32)


def load(settings: Settings) -> FakeEncoder:
    if settings.encoder not in VERSIONS:
        raise AfreshError("there is no such model")
    return FakeEncoder(settings.encoder)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Readers:
    monkeypatch.setattr(module, "load_encoder", load)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.01)
    return Readers(Settings(_env_file=None, encoder="small", data_dir=tmp_path))


async def test_without_a_plan_the_encoder_of_the_settings_reads(readers: Readers) -> None:
    await readers.load()
    assert readers.versions([]) == ["1"]


async def test_encoders_that_are_wanted_are_loaded_and_others_are_let_go(readers: Readers) -> None:
    readers.plan = Plan([Named("large", "2"), Named("small", "1")])
    await readers.load()
    assert (readers.versions([]), readers.versions(["2"])) == (["1", "2"], ["2"])
    assert (await readers["2"].gathering.vectors(["text"])).shape == (1, 2)
    readers.plan = Plan([Named("large", "2")])
    await readers.load()
    assert ("1" in readers, "2" in readers) == (False, True)


@pytest.mark.parametrize(
    ("named", "reason"),
    [(Named("none such", "9"), "there is no such model"), (Named("large", "3"), "here it has version 2")],
)
async def test_an_encoder_that_cannot_be_loaded_is_told_once_and_the_others_read_on(
    readers: Readers, named: Named, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    readers.plan = Plan([named, Named("small", "1")])
    await readers.load()
    await readers.load()
    assert readers.versions([]) == ["1"]
    assert [reason in record.message for record in caplog.records] == [True]
    await readers.wait_for([named.version])


async def test_a_text_waits_until_its_encoder_is_loaded_and_not_for_one_that_nobody_wants(
    readers: Readers,
) -> None:
    await readers.wait_for(["5"])
    readers.plan = Plan([Named("large", "2")])
    await readers.load()
    await readers.wait_for(["2"])
