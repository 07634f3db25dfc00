import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.deploy.feeds.lines import open_lines
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.state.errors import AfreshError

COUNT = "from afresh.deploy.feeds.lines import open_lines\nwith open_lines('-') as lines: print(list(lines))"


def lines_of(path: Path) -> list[bytes]:
    with open_lines(str(path)) as lines:
        return list(lines)


@given(
    st.lists(st.binary(min_size=1, max_size=40).filter(lambda line: not set(line) & set(b"\r\n"))),
    st.booleans(),
)
def test_lines_are_read_unchanged(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "lines"
    data = b"".join(line + b"\n" for line in lines)
    # Plain bytes that begin like gzip would be read as gzip.
    if not zipped and data.startswith(b"\x1f\x8b"):
        return
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert lines_of(path) == lines


def test_blank_lines_and_line_endings_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\n{}\r\n\n  {}\n\r\nlast")
    assert lines_of(path) == [b"{}", b"  {}", b"last"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert lines_of(path) == []


@pytest.mark.parametrize("zipped", [False, True])
def test_progress_is_counted_in_bytes_of_the_file_on_disk(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "lines"
    data = b"{}\n" * 1_000
    path.write_bytes(gzip.compress(data) if zipped else data)
    with open_lines(str(path)) as lines:
        assert len(list(lines)) == 1_000
        assert lines.bytes_read == lines.bytes == path.stat().st_size


@pytest.mark.parametrize("zipped", [False, True])
def test_standard_input_is_read_like_a_file(zipped: bool) -> None:
    data = b"{}\n[]\n"
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        input=gzip.compress(data) if zipped else data,
        capture_output=True,
        cwd=REPOSITORY,
        check=True,
    )
    assert done.stdout == b"[b'{}', b'[]']\n"


@pytest.mark.parametrize("damage", [slice(0, -12), slice(0, 40)])
def test_the_error_names_a_gzip_file_that_was_cut_off(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "lines.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 10)[damage])
    with pytest.raises(AfreshError, match=r"lines\.gz is not a complete gzip file"):
        lines_of(path)


def test_the_error_names_a_gzip_file_that_holds_garbage(tmp_path: Path) -> None:
    path = tmp_path / "lines.gz"
    path.write_bytes(gzip.compress(b"{}\n")[:12] + b"\xff" * 50)
    with pytest.raises(AfreshError, match="is not a complete gzip file"):
        lines_of(path)


def test_a_missing_file_raises_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lines_of(tmp_path / "none")
