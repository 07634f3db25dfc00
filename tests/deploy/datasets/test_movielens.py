from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.datasets import movielens
from afresh.state.errors import AfreshError

ITEMS = """item_id:token\ttitle\tyear\tclass
1\tToy Story\t1995\tAnimation Children's
2\tunkonwn\tunkonwn\tunknown
"""
EVENTS = "user_id\titem_id\trating\ttimestamp\n7\t2\t1\t30\n7\t1\t4\t20\n8\t2\t3\t10\n9\t1\t5\t20\n"
CONTENTS = {"ml-100k.inter": EVENTS.encode(), "ml-100k.item": ITEMS.encode()}


class Pip:
    """Stands in for pip: puts a wheel into the folder, and counts its calls."""

    def __init__(self) -> None:
        self.contents = CONTENTS
        self.calls = 0
        self.status = 0

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        if self.status == 0:
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "recbole-1.2.1-py3-none-any.whl", "w") as wheel:
                for name, content in self.contents.items():
                    wheel.writestr(f"{movielens.ML_100K.folder}/{name}", content)
        return subprocess.CompletedProcess(command, self.status, "", "WARNING: x\nERROR: No network.\n")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    pip = Pip()
    for name, content in CONTENTS.items():
        monkeypatch.setitem(movielens.ML_100K.files, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    return pip


def test_items_have_genres_and_year_but_no_unknown_values() -> None:
    known, unknown = movielens.parse_items(ITEMS)
    assert (known.id, known.domain, known.title) == ("1", "films", "Toy Story")
    assert known.text == "A film of 1995: Animation, Children's"
    assert known.attributes == {"genres": ["Animation", "Children's"], "year": 1995}
    assert (unknown.text, unknown.attributes) == ("A film", {"genres": []})


def test_events_are_in_time_order_and_in_file_order_within_a_second() -> None:
    events = movielens.parse_events(EVENTS)
    assert [(event.user, event.item) for event in events] == [("8", "2"), ("7", "1"), ("9", "1"), ("7", "2")]
    assert [event.id for event in events] == ["ml-1", "ml-2", "ml-3", "ml-4"]
    assert (events[0].type, events[0].value, events[0].time) == ("rating", 3.0, 10_000)


def test_the_parameter_first_limits_the_events_to_the_oldest() -> None:
    assert movielens.parse_events(EVENTS, 2) == movielens.parse_events(EVENTS)[:2]


def test_a_second_load_reads_the_cache(pip: Pip) -> None:
    first = movielens.load()
    assert movielens.load() == first
    assert pip.calls == 1


def test_only_the_two_files_are_kept(pip: Pip) -> None:
    movielens.load()
    kept = {path.name for path in movielens.cache_folder().rglob("*")}
    assert kept == set(CONTENTS)


@pytest.mark.parametrize("damage", [b"", b"user_id\titem_id\n"])
def test_a_damaged_cache_is_fetched_again(pip: Pip, damage: bytes) -> None:
    whole = movielens.load()
    (movielens.cache_folder() / "ml-100k.inter").write_bytes(damage)
    assert movielens.load() == whole
    assert (movielens.cache_folder() / "ml-100k.inter").read_bytes() == CONTENTS["ml-100k.inter"]
    assert pip.calls == 2


def test_without_a_network_the_error_says_what_failed_and_what_to_do(pip: Pip) -> None:
    pip.status = 1
    with pytest.raises(AfreshError, match=r"No network\); connect to the network"):
        movielens.load()


def test_a_wheel_with_other_contents_is_refused_and_not_kept(pip: Pip) -> None:
    pip.contents = CONTENTS | {"ml-100k.item": b"other"}
    with pytest.raises(AfreshError, match=r"a recbole==1\.2\.1 that differs from the known one"):
        movielens.load()
    assert not movielens.cache_folder().exists()


def test_an_unwritable_cache_folder_gives_an_error_that_says_what_to_do(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / "a cache").write_text("a file where the folder should be")
    with pytest.raises(AfreshError, match="set XDG_CACHE_HOME"):
        movielens.load()
