"""A Kafka that checks rights, and users whose rights a test gives and takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from afresh.deploy.servers import Server
from afresh.deploy.servers.kafka import REPOSITORY
from afresh.streams.connections import kafka_options
from afresh.streams.settings import Settings
from tests.certificates import Authority
from tests.conftest import settings_for
from tests.kafka.deployment import wait
from tests.kafka.secured import PASSWORD, USER, secured_kafka

ANYTHING = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)

USERS = [f"user-{number}" for number in range(30)]


class Granted(NamedTuple):
    """Operations on everything whose name begins so, or has just this name."""

    kind: str
    name: str
    operations: tuple[str, ...]
    prefixed: bool = True


def prefix_scheme(settings: Settings) -> list[Granted]:
    """Return the rights that OPERATING.md says to suffice for everything but ``afresh topics create``."""
    page = (REPOSITORY / "OPERATING.md").read_text(encoding="utf-8")
    rows = page.partition("| on | whose name begins with | operations |\n|---|---|---|\n")[2].partition(
        "\n\n"
    )[0]
    found = []
    for row in rows.splitlines():
        kind, prefix, operations = row.strip("| ").split(" | ")
        name = settings.namespace + ("." if "a dot" in prefix else "")
        found.append(
            Granted(constant(kind.removesuffix("s")), name, tuple(map(constant, operations.split(", "))))
        )
    return found


def constant(word: str) -> str:
    """Return what Kafka's clients call an operation or a kind of resource."""
    return re.sub("(?<=[a-z]) ?(?=[A-Z])|(?<=[a-z]) ", "_", word).upper()


class Guarded:
    """Two servers, of which Kafka checks rights.

    Parameters
    ----------
    kafka, redis
        The servers.
    """

    def __init__(self, kafka: Server, redis: Server) -> None:
        self.kafka = kafka
        self._redis = redis
        self._users = iter(USERS)
        self.admin: Any = None

    def settings(self, folder: Path, **changes: Any) -> Settings:
        """Return the settings of the test's own deployment, for a user who has no right yet."""
        plain = settings_for(self.kafka, self._redis, folder)
        values = {name: getattr(plain, name) for name in plain.model_fields_set}
        values |= {"kafka_sasl": "PLAIN", "kafka_user": next(self._users), "kafka_password": PASSWORD}
        return Settings(_env_file=None, **(values | changes))

    def user_of(self, settings: Settings, rights: Iterable[Granted], **changes: Any) -> Settings:
        """Return the settings of the same deployment for another user, who has these rights only."""
        other = settings.model_copy(update={"kafka_user": next(self._users), **changes})
        self.grant(other, rights)
        return other

    def of_administrator(self, settings: Settings) -> Settings:
        """Return the settings of the same deployment for the user who has all rights."""
        return settings.model_copy(update={"kafka_user": USER})

    def grant(self, settings: Settings, rights: Iterable[Granted]) -> None:
        """Give the user of a deployment rights."""
        self._add(settings, rights, ACLPermissionType.ALLOW)

    def deny(self, settings: Settings, *rights: Granted) -> None:
        """Take rights away from the user of a deployment, whatever else was granted."""
        self._add(settings, rights, ACLPermissionType.DENY)

    def _add(self, settings: Settings, rights: Iterable[Granted], permission: ACLPermissionType) -> None:
        principal = f"User:{settings.kafka_user}"
        acls = [
            ACL(principal, "*", ACLOperation[operation], permission, _pattern(each))
            for each in rights
            for operation in each.operations
        ]
        assert not self.admin.create_acls(acls)["failed"]
        wanted = ACLFilter(principal, None, ACLOperation.ANY, ACLPermissionType.ANY, ANYTHING)
        # A broker learns of them a moment later.
        wait(lambda: set(acls) <= set(self.admin.describe_acls(wanted)[0]), "the rights to be known")


def _pattern(right: Granted) -> ResourcePattern:
    pattern = ACLResourcePatternType.PREFIXED if right.prefixed else ACLResourcePatternType.LITERAL
    return ResourcePattern(ResourceType[right.kind], right.name, pattern)


@contextmanager
def guarded_kafka(folder: Path, redis: Server) -> Iterator[Guarded]:
    """Run a genuine Kafka that checks rights, and connect as the user who has all of them."""
    authority = Authority(folder / "certificates")
    with secured_kafka(folder / "kafka", authority, tls=False, others=USERS) as kafka:
        made = Guarded(kafka, redis)
        options = kafka_options(made.of_administrator(made.settings(folder)))
        made.admin = KafkaAdminClient(**options)
        try:
            yield made
        finally:
            made.admin.close()
