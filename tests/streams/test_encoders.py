from pathlib import Path

import pytest

from afresh.models.encoder import Options
from afresh.state.errors import AfreshError
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
