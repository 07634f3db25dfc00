import errno
from pathlib import Path

import pytest
from kafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError

from afresh.deploy.errors import explain, status_of
from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.settings import Settings


def error_of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Exception:
    for name, value in variables.items():
        monkeypatch.setenv(f"AFRESH_{name}", value)
    with pytest.raises(Exception) as raised:
        Settings(_env_file=None)
    return raised.value


def test_a_setting_that_does_not_fit_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = explain(error_of(monkeypatch, PARTITIONS="many"))
    assert sentence is not None
    assert sentence.startswith("AFRESH_PARTITIONS: ")
    assert "\n" not in sentence


def test_all_settings_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = explain(error_of(monkeypatch, PARTITIONS="0", NAMESPACE="no spaces please")) or ""
    assert "AFRESH_PARTITIONS" in sentence
    assert "AFRESH_NAMESPACE" in sentence


@pytest.mark.parametrize(
    "url", ["s3cret", "http://s3cret@redis", "redis://:s3cret@redis:port", "redis://:s3/cret@r"]
)
def test_a_wrong_redis_url_names_its_setting_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    error = error_of(monkeypatch, REDIS=url)
    sentence = explain(error)
    assert sentence is not None
    assert sentence.startswith("AFRESH_REDIS: must be a URL such as")
    assert "s3" not in sentence + str(error)


def test_settings_that_do_not_fit_together_are_explained_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = error_of(monkeypatch, KAFKA_PASSWORD="hunter2")
    sentence = explain(error)
    assert sentence == (
        "AFRESH_KAFKA_SASL, AFRESH_KAFKA_USER and AFRESH_KAFKA_PASSWORD go together; "
        "set AFRESH_KAFKA_SASL and AFRESH_KAFKA_USER too"
    )
    assert "hunter2" not in sentence + str(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AfreshError("do this"), "do this"),
        (KafkaConnectionError(), "AFRESH_KAFKA"),
        (RedisConnectionError("refused"), "AFRESH_REDIS"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "events.jsonl"),
            "events.jsonl: No such file",
        ),
        (OSError("no name"), "no name"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "not UTF-8"),
    ],
)
def test_an_error_that_a_person_can_fix_is_one_sentence(error: Exception, words: str) -> None:
    sentence = explain(error)
    assert sentence is not None
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), BrokenPipeError()])
def test_a_bug_of_ours_keeps_its_traceback(error: Exception) -> None:
    assert explain(error) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_dotenv_file_in_another_encoding_is_explained_by_its_name(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text("AFRESH_NAMESPACE=x\n", encoding=encoding)
    with pytest.raises(UnicodeDecodeError) as raised:
        Settings(_env_file=tmp_path / ".env")
    assert explain(raised.value) == f"a text file is not UTF-8 ({encoding.upper()}); check .env first"


def test_a_dotenv_file_that_is_not_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"AFRESH_NAMESPACE=\xff\n")
    with pytest.raises(UnicodeDecodeError) as raised:
        Settings(_env_file=tmp_path / ".env")
    assert ".env" in (explain(raised.value) or "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AfreshError("do this"), 2),
        (UnavailableError("wait"), 75),
        (KafkaConnectionError(), 75),
        (GroupAuthorizationFailedError(), 2),
        (RedisConnectionError("refused"), 75),
        (BusyLoadingError("loading"), 75),
        (ReadOnlyError("a replica"), 75),
        (AuthenticationError("wrong password"), 2),
        (NoPermissionError("no rights"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "events.jsonl"), 2),
        (ConnectionRefusedError(), 75),
        (TimeoutError(), 75),
    ],
)
def test_what_may_pass_by_itself_has_another_status_than_what_a_person_must_mend(
    error: Exception, status: int
) -> None:
    assert status_of(error) == status
