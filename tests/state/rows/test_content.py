import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state.records import Scalar
from afresh.state.rows import content
from afresh.state.rows.content import CONTENT_ROW_VERSION, ContentRow, content_hash, text_for_encoder
from afresh.state.versions import RowVersionError

scalars = st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()

rows = st.builds(
    ContentRow,
    domain=st.text(max_size=9),
    title=st.text(max_size=9),
    text=st.text(max_size=9),
    attributes=st.dictionaries(st.text(max_size=5), scalars | st.lists(scalars, max_size=3), max_size=3),
    available=st.booleans(),
    content=st.integers(0, 2**64 - 1),
    embedding=st.binary(max_size=9),
    encoder=st.text(max_size=9),
    encoder_version=st.text(max_size=9),
)


@given(rows)
def test_a_row_is_the_same_after_packing(row: ContentRow) -> None:
    assert content.unpack(content.pack(row)) == row


def test_a_row_of_a_newer_version_is_refused_by_name() -> None:
    packed = content.pack(ContentRow(version=CONTENT_ROW_VERSION + 1))
    said = f"content row has version {CONTENT_ROW_VERSION + 1}; this program knows {CONTENT_ROW_VERSION}"
    with pytest.raises(RowVersionError, match=said):
        content.unpack(packed)


def test_fields_that_a_newer_program_appended_are_ignored() -> None:
    fields = msgspec.to_builtins(ContentRow(title="Babe"), builtin_types=(bytes,))
    assert content.unpack(msgspec.msgpack.encode([*fields, "new"])).title == "Babe"


@pytest.mark.parametrize(
    ("title", "text", "attributes", "words"),
    [
        ("", "", {}, ""),
        ("Babe", "", {}, "Babe"),
        ("", "A pig.", {}, "A pig"),
        (" \n", "\t", {}, ""),
        ("Babe.", "A pig.", {}, "Babe. A pig"),
        ("", "", {"year": 1995, "seen": True, "stars": 4.5}, "year: 1995. seen: True. stars: 4.5"),
    ],
)
def test_the_text_to_encode_joins_title_text_and_attributes(
    title: str, text: str, attributes: dict[str, Scalar], words: str
) -> None:
    assert text_for_encoder(title, text, {**attributes}) == words


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{title}", "Babe"),
        ("query: {title} ({year}). {text}", "query: Babe (1995). A {pig}"),
        ("{title} by {director}. {text}", "A {pig}"),
        ("{attributes}. {title}", "genres: Children, Comedy. year: 1995. empty:. Babe"),
        ("{empty}", ""),
    ],
)
def test_a_template_says_what_is_encoded_and_sentences_without_all_their_values_are_left_out(
    template: str, words: str
) -> None:
    attributes: dict[str, Scalar | list[Scalar]] = {
        "genres": ["Children", "Comedy"],
        "year": 1995,
        "empty": "",
    }
    assert text_for_encoder("Babe", "A {pig}.", attributes, template) == words


def test_only_the_empty_text_has_hash_0() -> None:
    assert content_hash("") == 0
    assert content_hash("Babe") == content_hash("Babe") != content_hash("Babe!")
