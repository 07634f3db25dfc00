import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.state import keys
from afresh.state.keys import NO_KEY, key_of


@given(st.text(alphabet=st.characters()))
def test_a_key_has_64_bits_and_is_never_the_key_of_an_empty_place(name: str) -> None:
    assert NO_KEY < key_of(name) < 2**64


@given(st.sets(st.text(), min_size=2, max_size=50))
def test_different_ids_have_different_keys(names: set[str]) -> None:
    assert len({key_of(name) for name in names}) == len(names)


def test_a_hash_equal_to_no_key_gives_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "xxh3_64_intdigest", lambda _: NO_KEY)
    assert key_of("unlucky") != NO_KEY


def test_keys_do_not_change_between_versions() -> None:
    assert (key_of("film-1"), key_of("été 🎬\0")) == (6_829_344_340_855_872_834, 16_130_591_784_778_974_816)
