from pathlib import Path
from typing import Any

import pytest
from kafka import OffsetAndMetadata, TopicPartition

from afresh.models.encoder import Options
from afresh.state.errors import AfreshError
from afresh.streams import encoders
from afresh.streams.encoders import load_encoder, options_of
from afresh.streams.settings import Settings


def test_an_embed_worker_without_an_encoder_has_nothing_to_do() -> None:
    with pytest.raises(AfreshError, match="AFRESH_ENCODER is 'none'"):
        load_encoder(Settings(_env_file=None, encoder="none"))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=str(tmp_path)):
        load_encoder(Settings(_env_file=None, encoder=str(tmp_path)))


def test_the_settings_say_how_the_encoder_runs() -> None:
    settings = Settings(
        _env_file=None, encoder_device="cuda:1", encoder_dtype="float16", encoder_dimension=256
    )
    assert options_of(settings) == Options("cuda:1", "float16", 256)
    assert options_of(Settings(_env_file=None)) == Options()


class FakeAdmin:
    """Answers with committed offsets by group, and notes those that are set."""

    def __init__(self, committed: dict[str, dict[TopicPartition, OffsetAndMetadata]]) -> None:
        self.committed = committed

    def ask(self, question: Any) -> Any:
        return question(self)

    def list_group_offsets(self, groups: dict[str, Any]) -> Any:
        return {group: self.committed.get(group, {}) for group in groups}

    def alter_group_offsets(self, group: str, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.committed[group] = offsets

    def close(self) -> None:
        pass


def test_all_embed_workers_go_on_once_where_those_of_their_encoder_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(_env_file=None)
    place, other = (TopicPartition("afresh.texts", number) for number in (0, 1))
    known = {place: OffsetAndMetadata(7, "5", -1), other: OffsetAndMetadata(-1, "", -1)}
    admin = FakeAdmin({"afresh-embed-v1": known, "afresh-embed-v2": {}})
    monkeypatch.setattr(encoders, "PatientAdmin", lambda _: admin)
    assert not encoders.take_over(settings, "v2")
    assert encoders.take_over(settings, "v1")
    assert admin.committed[encoders.embed_group(settings)] == {place: OffsetAndMetadata(7, "5", -1)}
    assert not encoders.take_over(settings, "v1")
