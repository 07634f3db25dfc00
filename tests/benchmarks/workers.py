"""Workers of a deployment to measure."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from afresh.deploy.demo.workers import COMMAND, WorkerProcess, environment, variables
from afresh.deploy.servers.process import ServerProcess, free_ports, running
from afresh.streams.settings import Settings

PORTS = ("metrics_port", "embed_metrics_port", "model_metrics_port")


def start_worker(
    settings: Settings, folder: Path, stack: ExitStack, name: str = "worker"
) -> tuple[ServerProcess, WorkerProcess]:
    """Start a worker of a kind with its files in a new folder; it ends with the stack."""
    (port,) = free_ports(1)
    folder.mkdir(parents=True)
    own = settings.model_copy(update=dict.fromkeys(PORTS, port) | {"data_dir": folder})
    process = ServerProcess(f"{name} ({folder.name})", [*COMMAND, name], port=port, folder=folder)
    stack.enter_context(environment(variables(own)))
    stack.enter_context(running(process))
    return process, WorkerProcess(process)
