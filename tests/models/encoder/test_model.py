from __future__ import annotations

from pathlib import Path

import pytest

from afresh.models.encoder import Options
from afresh.models.encoder.files import find
from afresh.models.encoder.model import load_model, looks_ahead, positions
from tests.models.encoder import making
from tests.models.encoder.making import Save

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("save", "longest", "ahead"),
    [
        (making.bert, 32, True),
        (making.roberta, 31, True),
        (making.qwen3, 64, False),
        (making.llama, 64, False),
    ],
)
def test_a_model_says_how_much_it_reads_and_whether_tokens_look_ahead(
    save: Save, longest: int, ahead: bool, tmp_path: Path
) -> None:
    model, _ = load_model(find(str(save(tmp_path))), Options(device="cpu"))
    assert (positions(model), looks_ahead(model)) == (longest, ahead)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_computes_with_the_numbers_that_were_chosen(dtype: str, tmp_path: Path) -> None:
    import torch

    files = find(str(making.bert(tmp_path)))
    model, _ = load_model(files, Options(device="cpu", dtype=dtype))  # type: ignore[arg-type]
    assert {each.dtype for each in model.parameters()} == {getattr(torch, dtype)}


def test_a_cpu_computes_in_float32_unless_told_otherwise(tmp_path: Path) -> None:
    import torch

    model, device = load_model(find(str(making.bert(tmp_path))), Options(device="cpu"))
    assert (device.type, next(model.parameters()).dtype) == ("cpu", torch.float32)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (Options(device="cuda:1"), "there is no 'cuda:1': PyTorch finds no CUDA device here"),
        (Options(device="cuda", dtype="int8"), "there is no 'cuda'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    options: Options, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=refusal):
        load_model(find(str(making.bert(tmp_path))), options)


def test_int8_on_a_gpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ValueError, match="int8 is for CPUs"):
        load_model(find(str(making.bert(tmp_path))), Options(dtype="int8"))
