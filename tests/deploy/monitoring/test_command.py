from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from afresh.deploy.monitoring import command
from afresh.deploy.monitoring.command import BY_NAME, main
from afresh.deploy.monitoring.files import files
from afresh.deploy.servers.process import free_ports
from tests.deploy.monitoring.making import Canned, series


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["monitoring", *arguments])
    main()


def test_the_command_writes_the_files_with_the_address_of_the_runbooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://wiki.example/runbooks"
    run(monkeypatch, "--folder", str(tmp_path), "--runbooks", address)
    for name, text in files(address).items():
        assert (tmp_path / name).read_text("utf-8") == text
    assert f"{address}#afreshdown" in (tmp_path / "prometheus" / "rules.yml").read_text()


def test_the_command_draws_the_last_minutes_of_a_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canned, file = Canned(series("1", kind="view")), tmp_path / "overview.png"
    monkeypatch.setattr(command, "prometheus", lambda address: canned)
    run(monkeypatch, "picture", "--dashboard", "overview", "--minutes", "5", "--out", str(file))
    assert file.read_bytes().startswith(b"\x89PNG")
    assert len(canned.asked) == sum(len(panel.queries) for panel in BY_NAME["overview"].panels)
    assert {round(float(each["end"]) - float(each["start"])) for each in canned.asked} == {300}


def test_a_folder_that_is_not_there_gives_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "prometheus", lambda address: Canned())
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "picture", "--dashboard", "embeddings", "--out", str(tmp_path / "none" / "x.png"))
    assert ended.value.code == 2
    assert "x.png: No such file or directory" in capsys.readouterr().err


def test_a_prometheus_that_is_away_gives_a_sentence_and_status_75(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    nobody = f"http://127.0.0.1:{port}"
    with pytest.raises(SystemExit) as ended:
        run(
            monkeypatch,
            *("picture", "--prometheus", nobody, "--dashboard", "models", "--out", str(tmp_path / "x.png")),
        )
    assert ended.value.code == 75
    assert capsys.readouterr().err.startswith(f"monitoring: the Prometheus at {nobody} did not answer")


@pytest.mark.parametrize("minutes", ["0", "-1", "soon", "nan"])
def test_a_stretch_that_is_none_is_refused(
    minutes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(
            monkeypatch,
            *("picture", "--dashboard", "models", "--out", str(tmp_path / "x.png"), "--minutes", minutes),
        )
    assert ended.value.code == 2
    assert "--minutes" in capsys.readouterr().err


def test_no_other_command_waits_for_matplotlib() -> None:
    code = (
        "import sys, afresh.deploy.cli, afresh.deploy.monitoring.command; print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
