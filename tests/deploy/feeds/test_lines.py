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
from afresh.streams.encodings import BOM, foreign_encoding

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
    # Plain bytes that begin like gzip would be read as gzip, others as what they look like.
    if not zipped and data.startswith(b"\x1f\x8b"):
        return
    if foreign_encoding(data) or any(line.startswith(BOM) for line in lines):
        return
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert lines_of(path) == lines


def test_blank_lines_and_line_endings_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\n{}\r\n\n  {}\n\r\nlast")
    assert lines_of(path) == [b"{}", b"  {}", b"last"]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_byte_order_mark_is_no_part_of_a_line(tmp_path: Path, zipped: bool) -> None:
    """Files that were joined have a mark where each of them begins."""
    path = tmp_path / "lines"
    data = b"\xef\xbb\xbf{}\r\n[]\r\n\xef\xbb\xbf1\n\xef\xbb\xbf\n2"
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert lines_of(path) == [b"{}", b"[]", b"1", b"2"]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_error_names_the_encoding_of_a_file_that_is_not_utf8(
    tmp_path: Path, encoding: str, zipped: bool
) -> None:
    path = tmp_path / "lines.jsonl"
    data = '{"id": 1}\r\n{"id": 2}\r\n'.encode(encoding)
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(AfreshError, match=rf"lines\.jsonl is {encoding[:6].upper()}; save it as UTF-8"):
        lines_of(path)


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
