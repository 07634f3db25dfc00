from __future__ import annotations

import json
from pathlib import Path

import pytest

from afresh.deploy.servers import genuine_kafka
from afresh.state.errors import AfreshError
from tests.benchmarks import bench, lists


@pytest.mark.servers
@pytest.mark.parametrize(
    ("only", "events", "expected"),
    [
        ("learn", "30000", {"ingest_cpu_us_per_event", "profile_cpu_us_per_event", "learn_cpu_us_per_event"}),
        ("whole", "8000", {"whole_cpu_us_per_event", "whole_events_per_second_per_core", "peak_rss_bytes"}),
    ],
)
def test_our_worker_is_measured_over_a_genuine_kafka(
    only: str, events: str, expected: set[str], tmp_path: Path
) -> None:
    try:
        genuine_kafka()
    except AfreshError as error:
        pytest.skip(f"no Kafka (set KAFKA_HOME): {error}")
    bench.main(["--only", only, "--events", events, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == expected
    assert all(figure > 0 for figure in figures.values())


def test_lists_need_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_server(*_: object, **__: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr(bench, "local_kafka", no_server)
    monkeypatch.setattr(lists, "SIZES", (400, 500))
    monkeypatch.setattr(lists, "LISTS", 5)
    bench.main(["--only", "lists", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {
        f"list_{name}_of_{items}_items" for name in ("cpu_us", "full_ratio", "recall") for items in (400, 500)
    }
    assert all(figure > 0 for figure in figures.values())
