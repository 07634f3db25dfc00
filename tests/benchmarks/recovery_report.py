"""The measurements of ``tests.benchmarks.recovery``, as tables to read and as figures for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.table import Table


@dataclass(frozen=True)
class Way:
    """How rows are kept, and who takes over.

    Attributes
    ----------
    name
        Name of the way in tables and figures.
    baseline
        Name of the way to compare with.
    state
        How tables are kept; the setting ``AFRESH_STATE``.
    second
        Whether a second worker takes over; if not, the first worker starts again.
    standby_replicas
        Copies on other workers; the setting ``AFRESH_STANDBY_REPLICAS``.
    """

    name: str
    baseline: str
    state: str = "memory"
    second: bool = False
    standby_replicas: int = 0


WAYS = [
    Way("memory, started again", baseline="memory, started again"),
    Way("RocksDB, started again", baseline="memory, started again", state="rocksdb"),
    Way("memory, a second worker", baseline="memory, a second worker", second=True),
    Way("a standby on the second", baseline="memory, a second worker", second=True, standby_replicas=1),
]


@dataclass(frozen=True)
class Recovery:
    """Seconds from ``kill -9`` to ready, and how they were spent.

    Attributes
    ----------
    detection_seconds
        Time until the partitions are assigned to the worker that takes over.
    fetch_seconds, apply_seconds
        Time for the recovery of tables: waiting for records, and putting them into tables.
    rest_seconds
        Remaining time until the worker is ready, for example to read the Catalogue.
    cpu_seconds
        CPU time of the worker that takes over, from ``kill -9`` to ready. A busy machine does not change it.
    records
        Changelog records read in the recovery.
    first_seconds
        Time from the start of the first process until it is ready; it reads everything.
    peak_rss_bytes
        Highest resident memory of the worker that takes over.
    """

    detection_seconds: float
    fetch_seconds: float
    apply_seconds: float
    rest_seconds: float
    cpu_seconds: float
    records: int
    first_seconds: float
    peak_rss_bytes: int

    @property
    def total_seconds(self) -> float:
        """Time from ``kill -9`` to ready."""
        return self.detection_seconds + self.fetch_seconds + self.apply_seconds + self.rest_seconds


def recoveries(measured: Mapping[Way, Recovery]) -> Table:
    """Table with one line for each way, and its time as a multiple of its baseline's time."""
    phases = ("detection", "fetch", "apply", "rest", "cpu")
    shown = Table("kill -9 to ready, s", "all", "×", *phases, "records", "first start", "peak memory")
    for column in shown.columns[1:]:
        column.justify = "right"
    totals = {way.name: one.total_seconds for way, one in measured.items()}
    for way, one in measured.items():
        baseline = totals.get(way.baseline)
        shown.add_row(
            way.name,
            f"{one.total_seconds:.1f}",
            "-" if baseline is None else f"{one.total_seconds / baseline:.2f}",
            *(f"{getattr(one, f'{phase}_seconds'):.1f}" for phase in phases),
            f"{one.records:,}",
            f"{one.first_seconds:.1f}",
            f"{one.peak_rss_bytes / 2**20:,.0f} MiB",
        )
    return shown


def sizes(packed: Mapping[str, float], memory: Mapping[str, float]) -> Table:
    """Table of the bytes of each kind of row, packed in Kafka and in memory."""
    shown = Table("bytes of a row", "")
    shown.columns[1].justify = "right"
    for name, size in packed.items():
        shown.add_row(f"{name}, packed", f"{size:,.0f}")
    for name, size in memory.items():
        shown.add_row(f"{name}, in memory", f"{size:,.0f}")
    return shown


def figures(
    packed: Mapping[str, float], memory: Mapping[str, float], measured: Mapping[Way, Recovery]
) -> dict[str, dict[str, float] | dict[str, dict[str, float]]]:
    """Return the figures as written to JSON."""
    return {
        "packed_bytes": dict(packed),
        "memory_bytes": dict(memory),
        "recovery": {
            way.name: {"total_seconds": one.total_seconds} | asdict(one) for way, one in measured.items()
        },
    }
