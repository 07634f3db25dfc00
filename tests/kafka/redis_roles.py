"""Redis in its roles: master and replica behind one address, and Sentinels."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from afresh.deploy.servers import Server, local_redis
from afresh.deploy.servers.process import HOST, ServerProcess, free_ports, running
from afresh.deploy.servers.redis import _find

SERVICE = "lists"


def port_of(server: Server) -> int:
    """Return the port of a server that was started here."""
    assert server.process is not None
    return server.process.port


def command(server: Server, *words: object) -> Any:
    """Let a server execute a command."""
    with Redis(port=port_of(server)) as client:
        return client.execute_command(*words)


@contextmanager
def master_and_replica(folder: Path, arguments: Sequence[str] = (), **options: Any) -> Iterator[list[Server]]:
    """Run a Redis, and a replica of it."""
    with (
        local_redis(folder / "a", arguments=arguments, **options) as master,
        local_redis(
            folder / "b", arguments=[*arguments, "--replicaof", HOST, str(port_of(master))], **options
        ) as replica,
    ):
        yield [master, replica]


def swap(old: Server, new: Server) -> None:
    """Make the replica the master, and the master its replica; all connections stay open."""
    command(new, "REPLICAOF", "NO", "ONE")
    command(old, "REPLICAOF", HOST, port_of(new))


class Door(socketserver.ThreadingTCPServer):
    """A proxy, like a name or a managed address: new connections lead to ``target``, old ones stay where they are."""

    daemon_threads = True

    def __init__(self, target: Server) -> None:
        super().__init__((HOST, 0), _Passing)
        self.target = port_of(target)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """The URL of the Redis behind."""
        return f"redis://{HOST}:{self.server_address[1]}/0"


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Door)
        with socket.create_connection((HOST, self.server.target)) as behind:
            back = threading.Thread(target=_pass, args=(behind, self.request), daemon=True)
            back.start()
            _pass(self.request, behind)
            back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def sentinel(folder: Path, master: Server, lines: Sequence[str] = (), *, tls: bool = False) -> Iterator[str]:
    """Run a Sentinel that watches a master, and knows it as ``SERVICE``; yield its ``host:port``."""
    folder.mkdir()
    (port,) = free_ports(1)
    config = [
        f"bind {HOST}",
        *([f"tls-port {port}", "port 0"] if tls else [f"port {port}"]),
        f"sentinel monitor {SERVICE} {HOST} {port_of(master)} 1",
        f"sentinel down-after-milliseconds {SERVICE} 500",
        f"sentinel failover-timeout {SERVICE} 5000",
        *lines,
    ]
    (folder / "sentinel.conf").write_text("\n".join(config) + "\n")
    process = ServerProcess("Sentinel", [_find()[0], "sentinel.conf", "--sentinel"], port=port, folder=folder)
    with running(process):
        yield f"{HOST}:{port}"
