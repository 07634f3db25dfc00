"""Turns errors that a person can fix into one sentence."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from afresh.deploy.settings_table import variable
from afresh.state.errors import MEND_STATUS, START_AGAIN_STATUS, AfreshError
from afresh.streams.encodings import foreign_encoding


def explain(error: Exception) -> str | None:
    """Say in one sentence what is wrong; None for a bug of ours, which needs its traceback."""
    # Imported here: at the top, the clients of Kafka and Redis would slow `afresh --help`.
    from kafka.errors import KafkaError
    from redis.exceptions import RedisError

    match error:
        case AfreshError():
            return str(error)
        case ValidationError():
            return "; ".join(_setting(error))
        case SettingsError():
            return f"the settings cannot be read: {error}"
        case KafkaError():
            return _refused(error) or f"Kafka failed ({error}); look at the broker named by AFRESH_KAFKA"
        case RedisError():
            return f"Redis failed ({error}); look at the server named by AFRESH_REDIS"
        case UnicodeDecodeError():
            found = foreign_encoding(error.object) or f"byte {error.start}: {error.reason}"
            return f"a text file is not UTF-8 ({found}); check .env first"
        case BrokenPipeError():
            return None
        case OSError():
            if error.filename:
                return f"{error.filename}: {error.strerror}"
            # An OSError without a message, such as a bare TimeoutError, would make an empty sentence.
            return (
                str(error)
                or f"the system gave an error without a message ({type(error).__name__}); try again"
            )
    return None


def _refused(error: Exception) -> str | None:
    """Say which right is missing; None if it is none of that."""
    from afresh.streams.kafka.rights import DESCRIBE, named, refusal
    from afresh.streams.settings import Settings

    refused = refusal(error, group=DESCRIBE)
    return None if refused is None else str(named(Settings(), refused))


def status_of(error: Exception) -> int:
    """Return the exit status of a command that ends because of an error with a sentence."""
    if isinstance(error, AfreshError):
        return error.status
    return START_AGAIN_STATUS if _passes(error) else MEND_STATUS


def _passes(error: Exception) -> bool:
    """Whether an error that is not ours may pass by itself."""
    from kafka.errors import KafkaError
    from redis import exceptions as redis

    from afresh.streams.kafka.patient import passes

    match error:
        case KafkaError():
            return passes(error)
        case redis.AuthenticationError() | redis.AuthorizationError():
            return False
        case redis.ConnectionError() | redis.TimeoutError() | redis.ReadOnlyError():
            return True
    return isinstance(error, (ConnectionError, TimeoutError))


def _setting(error: ValidationError) -> list[str]:
    # Leave the input out: it may be a secret.
    faults = [
        (fault["loc"], fault["msg"].removeprefix("Value error, "))
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return [f"{variable(str(loc[0]))}: {message}" if loc else message for loc, message in faults]
