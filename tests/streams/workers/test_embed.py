from pathlib import Path
from typing import Any

import pytest

from afresh.state.errors import AfreshError
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.workers import embed


def settings_for(folder: Path, **fields: Any) -> Settings:
    values: dict[str, Any] = {"kafka": "127.0.0.1:1", "data_dir": folder, "start_timeout_seconds": 0.3}
    return Settings(_env_file=None, **(values | fields))


def test_an_embed_worker_without_a_broker_ends_after_the_timeout(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=r"Kafka at 127\.0\.0\.1:1 did not answer"):
        embed.run(settings_for(tmp_path))


def test_an_embed_worker_checks_the_topics_before_it_loads_the_encoder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embed, "require_topics", lambda _, **__: None)
    monkeypatch.setattr(embed, "require_room", lambda *_: None)
    monkeypatch.setattr(embed, "execute", lambda *_: pytest.fail("it has no encoder"))
    with pytest.raises(AfreshError, match="AFRESH_ENCODER is 'none'"):
        embed.run(settings_for(tmp_path, encoder=NO_ENCODER))
