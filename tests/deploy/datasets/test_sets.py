from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from afresh.deploy.datasets import movielens, sets
from afresh.deploy.evaluate.log import read_log
from afresh.deploy.servers import kafka
from afresh.state.errors import AfreshError
from afresh.streams.messages import Event, Item
from afresh.streams.settings import Settings

EVENTS = "timestamp\tplatform\tdomain\tuser_id\titem_id\trating\n"
ITEMS = 'item_id\tdomain\ttitle\ttext\nx1\tarts\t"Inked" set\tart "prints\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFRESH_DATA", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, events: str) -> None:
    (folder / name).mkdir()
    (folder / name / "events.tsv.gz").write_bytes(gzip.compress((EVENTS + events).encode()))
    (folder / name / "items.tsv.gz").write_bytes(gzip.compress(ITEMS.encode()))


def test_the_lines_of_a_table_become_events_that_ingest_accepts(folder: Path) -> None:
    put(folder, "films", "1700000000\ttwitter\tfilm\tt-1\tx1\t4.5\n1700000001\tmovielens\tfilm\tm-1\tx1\t2\n")
    lines = sets.load("films")
    log = read_log(Settings(), lines.events, lines.items)
    assert [(each.user, each.item, each.time, each.value) for each in log.interactions] == [
        ("twitter:t-1", "x1", 1_700_000_000_000, 4.5),
        ("movielens:m-1", "x1", 1_700_000_001_000, 2.0),
    ]
    (announcement,) = log.announcements
    assert (announcement.item.title, announcement.item.text) == ('"Inked" set', 'art "prints')


def test_a_byte_order_mark_costs_no_column(folder: Path) -> None:
    (folder / "films").mkdir()
    row = "1700000000\ttwitter\tfilm\tt-1\tx1\t4.5\n"
    (folder / "films" / "events.tsv.gz").write_bytes(gzip.compress((EVENTS + row).encode("utf-8-sig")))
    (folder / "films" / "items.tsv.gz").write_bytes(gzip.compress(ITEMS.encode("utf-8-sig")))
    lines = sets.load("films")
    assert (len(lines.events), len(lines.items)) == (1, 1)


def test_events_are_a_minute_apart_if_a_set_has_only_their_order(folder: Path) -> None:
    put(folder, "arts-office", "0\tshop\tarts\tu-1\tx1\t1.0\n2\tshop\toffice\tu-1\tx1\t1.0\n")
    lines = sets.load("arts-office")
    log = read_log(Settings(), lines.events, lines.items)
    first, second = log.interactions
    assert (second.time - first.time, first.type, first.value) == (2 * 60_000, "purchase", None)
    assert not log.refused


def test_a_missing_folder_is_named_together_with_the_variable_to_set(folder: Path) -> None:
    with pytest.raises(AfreshError, match=r"films.*set AFRESH_DATA to the folder"):
        sets.load("films")


def test_an_installed_package_does_not_look_for_sets_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "REPOSITORY", tmp_path)
    with pytest.raises(AfreshError, match="set AFRESH_DATA to the folder"):
        sets.load("films")


def test_a_damaged_table_is_named(folder: Path) -> None:
    put(folder, "films", "")
    (folder / "films" / "events.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(AfreshError, match=r"events\.tsv\.gz cannot be read"):
        sets.load("films")


def test_movielens_1m_ends_after_its_first_events(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(source: movielens.Source, first: int | None = None) -> movielens.Data:
        asked.append((source.name, first))
        event = Event(id="1", type="view", time=1, user="u", item="i", platform="p", domain="d")
        return movielens.Data([Item(id="i", domain="d")], [event])

    monkeypatch.setattr(movielens, "load", load)
    assert len(sets.load("ml-1m").events) == 1
    assert asked == [("ml-1m", 300_000)]
