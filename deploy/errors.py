"""Turns errors that a person can mend into one sentence."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from afresh.deploy.settings_table import variable
from afresh.state.errors import AfreshError


def explain(error: Exception) -> str | None:
    """Say in one sentence what is wrong, or None if the error is a fault of ours and needs its traceback."""
    # Imported here: `afresh --help` must not wait for the clients of Kafka and Redis.
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
            return f"Kafka failed ({error}); look at the broker named by AFRESH_KAFKA"
        case RedisError():
            return f"Redis failed ({error}); look at the server named by AFRESH_REDIS"
        case UnicodeDecodeError():
            return f"a text is not UTF-8 (byte {error.start}: {error.reason}); is it .env?"
        case BrokenPipeError():
            return None
        case OSError():
            if error.filename:
                return f"{error.filename}: {error.strerror}"
            # One that was raised without words, as for a time that is over, would be an empty sentence.
            return str(error) or f"the system failed without a word ({type(error).__name__}); try again"
    return None


def _setting(error: ValidationError) -> list[str]:
    # The input is left out: it may be a secret.
    faults = [
        (fault["loc"], fault["msg"].removeprefix("Value error, "))
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return [f"{variable(str(loc[0]))}: {message}" if loc else message for loc, message in faults]
