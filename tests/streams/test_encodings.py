import pytest

from afresh.streams.encodings import BOM, foreign_encoding


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['{"id": 1}', "{}"])
def test_json_in_another_encoding_is_known_by_its_start(encoding: str, text: str) -> None:
    assert foreign_encoding(text.encode(encoding)) == encoding[:6].upper()


def test_text_with_a_mark_is_known_by_the_mark() -> None:
    assert foreign_encoding("id\n".encode("utf-16")) == "UTF-16"


@pytest.mark.parametrize("text", [b"", b"{", b"{}", BOM + b"{}", b"\0", "é".encode(), b"\x1f\x8b"])
def test_other_bytes_may_be_utf8(text: bytes) -> None:
    assert foreign_encoding(text) is None
