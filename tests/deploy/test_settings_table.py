import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from afresh.deploy.servers.kafka import REPOSITORY
from afresh.deploy.settings_table import env_example, masked, settings_markdown, settings_table, variable
from afresh.streams.settings import Settings


def shown(settings: Settings) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(settings_table(settings))
    return capture.get()


def test_every_setting_has_a_row_with_its_meaning() -> None:
    text = shown(Settings(_env_file=None))
    for name, field in Settings.model_fields.items():
        assert variable(name) in text
        assert (field.description or "?").split()[0] in text


def test_the_value_in_force_stands_beside_the_default() -> None:
    (row,) = [
        line for line in shown(Settings(_env_file=None, list_size=7)).splitlines() if "LIST_SIZE" in line
    ]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["7", "20"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@redis:6379/0",
        "rediss://ann:s3cret@redis:6379/0",
        "redis://s3cret@redis",
        "redis://ann:s3cret@with@at@redis/0",
        "redis://redis/0?password=s3cret",
        "unix:///run/redis.sock?db=1&password=s3cret",
    ],
)
def test_a_secret_is_never_shown(url: str) -> None:
    settings = Settings(
        _env_file=None,
        redis=SecretStr(url),
        encoder="https://ann:s3cret@hub/model",
        kafka_sasl="SCRAM-SHA-256",
        kafka_user="ann",
        kafka_password=SecretStr("s3cret"),
    )
    assert "s3cret" not in shown(settings)


def test_the_rest_of_a_url_with_a_secret_is_shown() -> None:
    assert "redis://***@redis:6379/3" in shown(
        Settings(_env_file=None, redis=SecretStr("redis://ann:s3cret@redis:6379/3"))
    )


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1).map(lambda text: f"<{text}>"))
def test_no_password_is_left_in_a_url(password: str) -> None:
    assert password not in masked(f"redis://ann:{password}@redis:6379/0?password={password}&db=1")


def test_a_value_with_markup_is_shown_as_it_is() -> None:
    assert "[red]model[/red]" in shown(Settings(_env_file=None, encoder="[red]model[/red]"))


def test_the_reference_page_has_every_setting_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRESH_NAMESPACE", "somewhere")
    page = settings_markdown()
    assert "somewhere" not in page
    lines = page.splitlines()
    assert len(lines) == 2 + len(Settings.model_fields)
    assert all(len(line.replace("\\|", "").split("|")) == 5 for line in lines)


def test_the_repository_holds_the_current_example_file() -> None:
    assert (REPOSITORY / ".env.example").read_text() == env_example()


def test_the_example_file_changes_nothing_until_its_lines_are_uncommented() -> None:
    assert all(not line or line.startswith("#") for line in env_example().splitlines())


def test_the_lines_of_the_example_file_are_the_defaults(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text(env_example().replace("\n#AFRESH_", "\nAFRESH_"))
    assert Settings(_env_file=file) == Settings(_env_file=None)
