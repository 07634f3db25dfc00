"""Measure a process from outside: CPU time and memory from /proc, progress from Kafka's offsets."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.02
LOG_TAIL = 2_000
"""Characters of a process's output that an error shows. The log file itself is deleted with its folder."""
START_SHARE = 0.1
"""Share of the records after which measuring begins. The start of a process must not count as a cost of events."""


@dataclass(frozen=True)
class Measurement:
    """What a process cost for the events that it handled while it was measured.

    Attributes
    ----------
    events
        Events handled from the first tenth to the end.
    wall_seconds
        Elapsed time.
    cpu_seconds
        User and system time of the process, its threads and its children.
    peak_rss_bytes
        Highest resident memory, including the start.
    """

    events: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int

    @property
    def cpu_us_per_event(self) -> float:
        """CPU time for each event, in µs."""
        return self.cpu_seconds / self.events * 1e6

    @property
    def events_per_second(self) -> float:
        """Events per second of elapsed time."""
        return self.events / self.wall_seconds


@contextmanager
def process(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a command and write its output to `log`; yield its process id, and end the process on exit."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | (environment or {}),
        )
    try:
        yield child.pid
    except Exception as error:
        error.add_note("the process wrote last: " + log.read_text(errors="replace")[-LOG_TAIL:])
        raise
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def measure(pid: int, handled: Callable[[], int], expected: int, *, timeout: float = 300.0) -> Measurement:
    """Follow a process until it has handled all expected events; return what they cost.

    Parameters
    ----------
    pid
        The process.
    handled
        Function that returns the number of events handled so far.
    expected
        Number of events that the process must handle.
    timeout
        Longest time to wait, in seconds.

    Raises
    ------
    TimeoutError
        If the process ends, or takes too long.
    ValueError
        If the process handles all events at once, because then there is nothing to measure.
    """
    deadline = time.monotonic() + timeout
    first = wait_until(pid, handled, int(expected * START_SHARE), deadline)
    began, cpu = time.monotonic(), cpu_seconds(pid)
    last = wait_until(pid, handled, expected, deadline)
    if last == first:
        raise ValueError(f"{expected} events are too few to measure process {pid}; send more")
    return Measurement(last - first, time.monotonic() - began, cpu_seconds(pid) - cpu, peak_rss_bytes(pid))


def wait_until(
    pid: int,
    handled: Callable[[], int],
    enough: int,
    deadline: float,
    poll_seconds: float = POLL_SECONDS,
) -> int:
    """Wait until a process has handled ``enough`` events; return how many it has handled.

    Raises
    ------
    TimeoutError
        If the process ends, or the deadline passes.
    """
    while (number := handled()) < enough:
        if time.monotonic() > deadline or not family(pid):
            raise TimeoutError(
                f"process {pid} handled only {number} of {enough} events; it ended or took too long"
            )
        time.sleep(poll_seconds)
    return number


@contextmanager
def record_counter(broker: str, topic: str) -> Iterator[Callable[[], int]]:
    """Yield a function that counts the records of a topic by its end offsets."""
    consumer = KafkaConsumer(bootstrap_servers=broker)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        yield lambda: sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


@contextmanager
def committed_counter(broker: str, group: str, topics: Sequence[str]) -> Iterator[Callable[[], int]]:
    """Yield a function that returns how many records a group has committed, on the topic with the fewest."""
    admin = KafkaAdminClient(bootstrap_servers=broker)

    def committed() -> int:
        try:
            offsets = admin.list_group_offsets({group: None})[group]
        except KafkaError:  # No member has joined the group yet, so it has no coordinator.
            return 0
        return min(sum(int(at.offset) for tp, at in offsets.items() if tp.topic == topic) for topic in topics)

    try:
        yield committed
    finally:
        admin.close()


def family(pid: int) -> list[int]:
    """Return the process and its descendants that are still alive."""
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(file).split()
    ]
    alive = [pid] if _status(pid).get("State", "Z")[0] not in "ZX" else []
    return alive + [member for child in children for member in family(child)]


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, its threads and its children, including ended children."""
    total = 0
    for member in family(pid):
        # Split after the name, because it may hold spaces. Fields 14 to 17 of proc(5) include reaped children.
        total += sum(map(int, _read(Path(f"/proc/{member}/stat")).rpartition(")")[2].split()[11:15]))
    return total / TICKS_PER_SECOND


def peak_rss_bytes(pid: int) -> int:
    """Return the sum of the highest resident memory of a process and of each of its children."""
    return _memory_bytes(pid, "VmHWM")


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children."""
    return _memory_bytes(pid, "VmRSS")


def _memory_bytes(pid: int, name: str) -> int:
    return sum(int(_status(member).get(name, "0 kB").split()[0]) * 1024 for member in family(pid))


def _status(pid: int) -> dict[str, str]:
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _read(file: Path) -> str:
    """Read a file of /proc; "" if the process has ended meanwhile."""
    try:
        return file.read_text()
    except OSError:
        return ""
