"""Rights on Kafka: what our user may not do, as a sentence that says how to grant it.

The two clients, aiokafka and kafka-python, have error classes of their own, equal in their numbers. Neither says which
operation was refused, and brokers do not tell it either. Whoever asked knows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import aiokafka.errors
import kafka.errors

from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic

READ = "Read"
WRITE = "Write"
CREATE = "Create"
DELETE = "Delete"
DESCRIBE = "Describe"
DESCRIBE_CONFIGS = "DescribeConfigs"
ALTER_CONFIGS = "AlterConfigs"
IDEMPOTENT_WRITE = "IdempotentWrite"

IMPLY_DESCRIBE = {READ, WRITE, DELETE}

TOPIC = "topic"
GROUP = "group"
TRANSACTIONAL_ID = "transactional id"
CLUSTER = "cluster"

KINDS = {29: TOPIC, 30: GROUP, 31: CLUSTER, 53: TRANSACTIONAL_ID}
"""Kinds of resources by the number of the error that refuses one."""

LOGIN = (
    kafka.errors.SaslAuthenticationFailedError,
    aiokafka.errors.SaslAuthenticationFailed,
    aiokafka.errors.AuthenticationFailedError,
)
"""Errors of both clients for a user or a password that Kafka does not accept."""

NAME = re.compile(r"(?:.* for (?:GROUP|TRANSACTION)/)?([\w.-]+)(?:: ?)?")
"""What names a resource in an error. kafka-python puts that of a coordinator into a sentence."""

FEW = 3
"""Most names in a sentence."""

Needs = Mapping[str, Sequence[str]]
"""Operations that a process needs on topics, by the topic's name; beside Describe and DescribeConfigs."""


class Right(NamedTuple):
    """A right, in the words of Kafka; without a name, that to a resource whose name begins as all of ours."""

    operation: str
    kind: str
    name: str = ""


class NotAllowedError(AfreshError):
    """Kafka refuses our user what a process needs: a login, or rights. ``named`` makes the sentence of it.

    Parameters
    ----------
    message
        What Kafka refuses.
    rights
        The rights that are missing; none if it is the login itself.
    """

    def __init__(self, message: str, rights: Sequence[Right] = ()) -> None:
        super().__init__(message)
        self.rights = tuple(rights)


def needs(read: Iterable[Topic] = (), written: Iterable[Topic] = ()) -> Needs:
    """Return what a process needs that reads some topics and writes to some."""
    found: dict[str, list[str]] = {}
    for operation, topics in ((READ, read), (WRITE, written)):
        for topic in topics:
            found.setdefault(topic.name, []).append(operation)
    return found


def lacking(described: Mapping[str, Mapping[str, Any]], wanted: Needs) -> list[Right]:
    """Return the rights that are missing on topics, as kafka-python describes them; none if brokers do not tell."""
    return [
        Right(operation, TOPIC, name)
        for name, topic in described.items()
        for operation in _lacking(topic, wanted.get(name, ()))
    ]


def _lacking(topic: Mapping[str, Any], wanted: Sequence[str]) -> Sequence[str]:
    if KINDS.get(topic["error_code"]) == TOPIC:
        return [each for each in wanted if each in IMPLY_DESCRIBE] or [DESCRIBE]
    return [each for each in wanted if may_not(topic, each)]


def may_not(topic: Mapping[str, Any], operation: str) -> bool:
    """Tell whether our user may not do something with a topic, as kafka-python describes it; False if it is untold."""
    if KINDS.get(topic["error_code"]) == TOPIC:
        return True
    told = topic.get("authorized_operations")
    return told is not None and operation.lower() not in {each.replace("_", "").lower() for each in told}


def refusal(error: BaseException | None, *, topic: str = READ, group: str = READ) -> NotAllowedError | None:
    """Return what Kafka refuses by an error of either client; None for any other error.

    Parameters
    ----------
    error
        The error; what has caused it counts, too.
    topic, group
        What was to be done with the topic or the group.
    """
    for each in _causes(error):
        if isinstance(each, AfreshError):
            return each if isinstance(each, NotAllowedError) else None
        if isinstance(each, LOGIN):
            return NotAllowedError(f"Kafka refuses the login ({each})")
        rights = list(_refused(each, topic, group))
        if rights:
            return NotAllowedError("Kafka refuses a right", rights)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what has caused it, each once: mode names a crash as its own cause."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _refused(error: BaseException, topic: str, group: str) -> Iterator[Right]:
    if not isinstance(error, kafka.errors.KafkaError | aiokafka.errors.KafkaError):
        return
    kind = KINDS.get(getattr(error, "errno", 0))
    # Of the cluster, only producers without a transactional id need anything, and only before Kafka 2.8.
    operations = {TOPIC: topic, GROUP: group, CLUSTER: IDEMPOTENT_WRITE, TRANSACTIONAL_ID: WRITE}
    if kind is not None:
        yield from (Right(operations[kind], kind, name) for name in _names(error))


def _names(error: BaseException) -> list[str]:
    """Return the names that an error tells: one, or a set of them; an empty one if it tells none."""
    told = error.args[0] if error.args else ""
    names = [told] if isinstance(told, str) else sorted(map(str, told))
    return [found[1] for name in names if (found := NAME.fullmatch(name))] or [""]


def require(rights: Sequence[Right]) -> None:
    """Raise if rights are missing.

    Raises
    ------
    NotAllowedError
        With these rights; it does not name the user.
    """
    if rights:
        raise NotAllowedError("Kafka refuses rights", rights)


def named(settings: Settings, refused: NotAllowedError) -> AfreshError:
    """Return a refusal as a sentence: who may not do what, and the command that grants it."""
    if not refused.rights:
        return AfreshError(
            f"Kafka at {settings.kafka} refuses the user {settings.kafka_user!r}; check AFRESH_KAFKA_USER, "
            "AFRESH_KAFKA_PASSWORD and AFRESH_KAFKA_SASL"
        )
    kinds: dict[tuple[str, str], list[str]] = {}
    for operation, kind, name in refused.rights:
        kinds.setdefault((operation, kind), []).append(name)
    clauses = (_clause(settings, operation, kind, names) for (operation, kind), names in kinds.items())
    return AfreshError("; ".join(clauses))


def told(settings: Settings, reason: BaseException | None) -> BaseException | None:
    """Return why a process ends; if Kafka has refused it something, as a sentence."""
    refused = refusal(reason)
    return reason if refused is None else named(settings, refused)


def _clause(settings: Settings, operation: str, kind: str, names: Sequence[str]) -> str:
    whose, option = _principal(settings), f"--{kind.replace(' ', '-')}"
    prefix = settings.namespace + ("." if kind == TOPIC else "")
    if kind == CLUSTER:
        what, resource = "the cluster", option
    elif all(names) and len(names) <= FEW:
        what = f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}"
        resource = " ".join(f"{option} {name}" for name in names)
    else:
        some = f" ({', '.join(names[:FEW])} and {len(names) - FEW} more)" if all(names) else ""
        what = f"{kind}s that begin with {prefix}{some}"
        resource = f"{option} {prefix} --resource-pattern-type prefixed"
    return (
        f"{whose or 'the owner of AFRESH_KAFKA_CERTIFICATE_FILE'} may not {operation} {what}: grant it with "
        f"kafka-acls.sh --bootstrap-server {settings.kafka} --add --allow-principal "
        f"{shlex.quote(whose) if whose else 'PRINCIPAL'} --operation {operation} {resource}"
    )


def _principal(settings: Settings) -> str | None:
    """Return who we are to Kafka; None if that stands in a certificate, which the rules of a broker may rename."""
    if settings.kafka_sasl:
        return f"User:{settings.kafka_user}"
    return None if settings.kafka_tls and settings.kafka_certificate_file else "User:ANONYMOUS"
