from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.demo import workers
from afresh.deploy.demo.scrape import Page
from afresh.deploy.servers.process import ServerProcess, free_ports, running
from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings

pytestmark = pytest.mark.servers

PAGE = """
import http.server, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
        self.wfile.write(b"afresh_catalogue_items 3\\n")
        if {status} == 503:
            print("no partitions assigned", flush=True)
            threading.Thread(target=self.server.shutdown).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""


PORTS = {"worker": "metrics_port", "embed-worker": "embed_metrics_port", "model-worker": "model_metrics_port"}
"""Setting that is the port of a process's page, by its command."""


def process(folder: Path, status: int) -> ServerProcess:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", PAGE.format(status=status), str(port)]
    return ServerProcess("afresh worker", command, port=port, folder=folder)


def test_a_worker_is_ready_when_its_page_says_so(tmp_path: Path) -> None:
    one = process(tmp_path, 200)
    with running(one):
        worker = workers.WorkerProcess(one)
        worker.wait_until_ready()
        worker.check()
        assert worker.page.read().total("afresh_catalogue_items") == 3


def test_a_worker_that_ends_before_it_is_ready_raises_with_the_end_of_its_log(tmp_path: Path) -> None:
    one = process(tmp_path, 503)
    with (
        running(one),
        pytest.raises(workers.WorkerDied, match=r"afresh worker ended(.|\n)*no partitions assigned"),
    ):
        workers.WorkerProcess(one).wait_until_ready()


def test_the_error_shows_the_cause_of_a_crash_from_a_long_log(tmp_path: Path) -> None:
    one = process(tmp_path, 503)
    noise = "".join(f"stopping part {number}\n" for number in range(99))
    one.log.write_text(f"{noise}[^-App]: Crashed reason=ValueError('the cause')\n{noise}")
    with running(one), pytest.raises(workers.WorkerDied, match="the cause"):
        workers.WorkerProcess(one).wait_until_ready()


def test_a_worker_that_is_never_ready_raises_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "READY_SECONDS", 0.0)
    one = process(tmp_path, 404)
    with running(one), pytest.raises(AfreshError, match="was not ready within 0 s"):
        workers.WorkerProcess(one).wait_until_ready()


@pytest.mark.parametrize(
    ("chosen", "commands"),
    [
        ({}, ["worker", "embed-worker"]),
        ({"encoder": "none"}, ["worker"]),
        ({"encoder": "none", "model": "worker"}, ["worker", "model-worker"]),
        ({"model": "worker"}, ["worker", "embed-worker", "model-worker"]),
    ],
    ids=str,
)
def test_the_settings_say_which_processes_run_beside_the_worker(
    chosen: dict[str, Any], commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: dict[str, Any] = dict(zip(PORTS.values(), free_ports(len(PORTS)), strict=True))
    of_commands = {command: ports[name] for command, name in PORTS.items()}
    page = PAGE.format(status=200).replace("sys.argv[1]", f"{of_commands}[sys.argv[1]]")
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", page))
    settings = Settings(_env_file=None, **chosen, **ports)
    with workers.running_workers(settings, tmp_path) as made:
        found = {each.name: each.page.port for each in made}
    assert found == {f"afresh {command}": of_commands[command] for command in commands}
    assert made[0].name == "afresh worker"


def test_a_page_that_no_process_serves_is_not_ready_and_has_no_metrics() -> None:
    page = Page(free_ports(1)[0])
    assert not page.ready()
    assert page.read().total("afresh_catalogue_items") == 0
