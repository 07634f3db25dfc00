"""Reads the lines of a file or of standard input, plain or gzipped, and tells how far it has read."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from afresh.state.errors import AfreshError
from afresh.streams.encodings import BOM, foreign_encoding

STDIN = "-"
GZIP = b"\x1f\x8b"


class Lines:
    """The lines that are not blank, as bytes without the line ending and without a byte-order mark.

    Parameters
    ----------
    source
        Name of the file in messages.
    lines
        The lines, unzipped.
    file
        The file on disk, to know how far reading has come; None for a pipe.
    """

    def __init__(self, source: str, lines: Iterable[bytes], file: BufferedReader | None) -> None:
        self._source = source
        self._lines = lines
        self._file = file
        self.bytes = os.fstat(file.fileno()).st_size if file is not None else None

    @property
    def bytes_read(self) -> int:
        """Bytes of the file read so far; 0 for a pipe."""
        return self._file.tell() if self._file is not None else 0

    def __iter__(self) -> Iterator[bytes]:
        try:
            for number, line in enumerate(self._lines):
                if not number:
                    self._require_utf8(line)
                # Not only the first line: files that were joined have a mark where each of them begins.
                text = line.removeprefix(BOM).rstrip(b"\r\n")
                if text:
                    yield text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise AfreshError(
                f"{self._source} is not a complete gzip file ({error}); make it again"
            ) from error

    def _require_utf8(self, start: bytes) -> None:
        if encoding := foreign_encoding(start):
            raise AfreshError(f"{self._source} is {encoding}; save it as UTF-8")


@contextmanager
def open_lines(source: str) -> Iterator[Lines]:
    """Open a file, or standard input if the source is ``-``; gzip is recognised by its first two bytes.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with ExitStack() as stack:
        file = None if source == STDIN else stack.enter_context(Path(source).expanduser().open("rb"))
        reader = cast("BufferedReader", sys.stdin.buffer) if file is None else file
        zipped = reader.peek(2)[:2] == GZIP
        lines = stack.enter_context(gzip.GzipFile(fileobj=reader)) if zipped else reader
        yield Lines("standard input" if file is None else source, lines, file)
