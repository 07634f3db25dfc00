import pytest

from afresh.deploy.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Amélie [red]bold[/red]", "Amélie [red]bold[/red]"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
        ("a\nb\r", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_neither_markup_nor_control_characters_have_an_effect(text: str, shown: str) -> None:
    assert plain(text).plain == shown
    assert plain(text).spans == []
