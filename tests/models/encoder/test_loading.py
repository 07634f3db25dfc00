from __future__ import annotations

import sys
from pathlib import Path

import pytest

from afresh.models.encoder import Options, load, version_of
from tests.models.encoder.making import bert

pytestmark = pytest.mark.slow


def refusal(name: str) -> str:
    """Return the message of ``load``, which must be one line of exactly a ValueError."""
    with pytest.raises(ValueError) as caught:
        load(name)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = str(bert(tmp_path))
    capfd.readouterr()
    load(folder, Options(dtype="int8"))
    assert capfd.readouterr() == ("", "")


def test_a_folder_with_a_broken_model_is_refused(tmp_path: Path) -> None:
    (bert(tmp_path) / "model.safetensors").write_bytes(b"not a model")
    assert "cannot be used" in refusal(str(tmp_path))


def test_a_model_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = bert(tmp_path) / "model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if "word_embeddings" not in key}
    save_file(kept, weights, metadata={"format": "pt"})
    assert "lacks 1 weights" in refusal(str(tmp_path))


def test_a_model_that_gives_nan_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = bert(tmp_path) / "model.safetensors"
    poisoned = {key: value * float("nan") for key, value in load_file(weights).items()}
    save_file(poisoned, weights, metadata={"format": "pt"})
    assert "gave a vector that is not finite" in refusal(str(tmp_path))


def test_a_model_whose_code_would_have_to_be_run_is_refused(tmp_path: Path) -> None:
    config = bert(tmp_path) / "config.json"
    told = config.read_text().replace(
        '"model_type": "bert"', '"model_type": "own", "auto_map": {"AutoModel": "x.Y"}'
    )
    config.write_text(told)
    (tmp_path / "x.py").write_text("raise SystemExit('their code was run')")
    assert "cannot be used" in refusal(str(tmp_path))


def test_the_version_of_a_local_model_can_be_read_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(dimension=8)
    version = load(str(bert(tmp_path)), options).version
    monkeypatch.setitem(sys.modules, "torch", None)
    assert version_of(str(tmp_path), options) == version != version_of(str(tmp_path))
