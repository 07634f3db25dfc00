from __future__ import annotations

import json
from pathlib import Path

import pytest

from afresh.streams.settings import Settings
from tests.benchmarks import bench, growth, lists
from tests.benchmarks.growth import Size, in_memory
from tests.benchmarks.recovery import fill


def test_items_and_users_grow_one_at_a_time_from_the_smallest_size() -> None:
    sizes = growth.sizes()
    assert sizes[0] == Size(1_000, 1_000)
    assert len(set(sizes)) == len(sizes) == 6
    assert all(1_000 in size for size in sizes)
    assert {size.items for size in sizes} == set(lists.SIZES)


def test_a_worker_that_does_not_fit_into_memory_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    look = in_memory(lambda: "ready")
    monkeypatch.setattr(growth, "free_memory", lambda: growth.RESERVE_BYTES)
    assert look() == "ready"
    monkeypatch.setattr(growth, "free_memory", lambda: growth.RESERVE_BYTES - 1)
    with pytest.raises(MemoryError):
        look()


@pytest.mark.usefixtures("kafka_installation")
def test_a_size_that_does_not_fit_is_left_out_and_the_other_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "ITEMS", (400,))
    monkeypatch.setattr(growth, "USERS", (200, 10**9))
    monkeypatch.setattr(lists, "SIZES", (400,))
    monkeypatch.setattr(lists, "LISTS", 5)

    def fill_if_small(settings: Settings, users: int, items: int) -> None:
        if users == 10**9:
            raise MemoryError("too many users")
        fill(settings, users, items)

    monkeypatch.setattr(growth, "fill", fill_if_small)
    file = tmp_path / "figures.json"
    bench.main(["--only", "growth", "--events", "30000", "--json", str(file)])
    figures = json.loads(file.read_text())
    named = {
        f"growth_{name}_of_400_items_200_users"
        for name in (
            *("event_cpu_us", "ingest_cpu_us", "profile_cpu_us", "learn_cpu_us"),
            *("ready_seconds", "ready_cpu_seconds", "ready_bytes", "derive_seconds", "peak_bytes"),
        )
    }
    assert {name for name in figures if name.startswith("growth_")} == named
    assert "list_cpu_us_of_400_items" in figures
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "too many users" in capsys.readouterr().out
