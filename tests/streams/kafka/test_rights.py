from typing import Any

import aiokafka.errors
import kafka.errors
import pytest

from afresh.state.errors import AfreshError
from afresh.streams.kafka.rights import (
    DELETE,
    DESCRIBE,
    GROUP,
    TOPIC,
    TRANSACTIONAL_ID,
    WRITE,
    NotAllowedError,
    Right,
    lacking,
    named,
    needs,
    refusal,
    require,
    told,
)
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

SETTINGS = Settings(
    _env_file=None, kafka="k:9092", kafka_sasl="PLAIN", kafka_user="ann", kafka_password="hunter2"
)
TOPICS = Topics(SETTINGS)


def sentence(*rights: Right, settings: Settings = SETTINGS) -> str:
    return str(named(settings, NotAllowedError("why", rights)))


def raised_from(cause: BaseException) -> BaseException:
    error: BaseException = aiokafka.errors.KafkaError("unexpected")
    error.__cause__ = cause
    return error


COMMAND = "kafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:ann"

REFUSALS: list[tuple[BaseException, Right]] = [
    (aiokafka.errors.TopicAuthorizationFailedError("afresh.events"), Right("Read", TOPIC, "afresh.events")),
    (kafka.errors.TopicAuthorizationFailedError({"afresh.events"}), Right("Read", TOPIC, "afresh.events")),
    (kafka.errors.TopicAuthorizationFailedError("a sentence"), Right("Read", TOPIC)),
    (aiokafka.errors.TopicAuthorizationFailedError(), Right("Read", TOPIC)),
    (aiokafka.errors.GroupAuthorizationFailedError("afresh"), Right("Read", GROUP, "afresh")),
    (
        kafka.errors.GroupAuthorizationFailedError("FindCoordinatorResponse error for GROUP/afresh: "),
        Right("Read", GROUP, "afresh"),
    ),
    (
        aiokafka.errors.TransactionalIdAuthorizationFailed("afresh-0"),
        Right("Write", TRANSACTIONAL_ID, "afresh-0"),
    ),
    (aiokafka.errors.ClusterAuthorizationFailedError(), Right("IdempotentWrite", "cluster")),
    (
        kafka.errors.ClusterAuthorizationFailedError("The producer is not authorized to do idempotent sends"),
        Right("IdempotentWrite", "cluster"),
    ),
    (
        raised_from(aiokafka.errors.GroupAuthorizationFailedError("afresh")),
        Right("Read", GROUP, "afresh"),
    ),
]


@pytest.mark.parametrize(("error", "right"), REFUSALS, ids=lambda each: repr(each)[:70])
def test_a_right_that_either_client_is_refused_is_known(error: BaseException, right: Right) -> None:
    refused = refusal(error)
    assert refused is not None
    assert refused.rights == (right,)
    assert refusal(refused) is refused


def test_what_was_to_be_done_is_the_right_that_is_missing() -> None:
    topic = refusal(kafka.errors.TopicAuthorizationFailedError({"b", "a"}), topic=DELETE)
    group = refusal(kafka.errors.GroupAuthorizationFailedError("g"), group=DESCRIBE)
    assert topic is not None
    assert topic.rights == (Right("Delete", TOPIC, "a"), Right("Delete", TOPIC, "b"))
    assert group is not None
    assert group.rights == (Right("Describe", GROUP, "g"),)


def crash() -> KeyError:
    """Return an error as mode raises it at the end of a process: its own cause."""
    error = KeyError("crash")
    error.__cause__ = error
    return error


@pytest.mark.parametrize(
    "error",
    [
        None,
        crash(),
        KeyError(29),
        OSError(29, "Illegal seek"),
        kafka.errors.KafkaConnectionError(),
        aiokafka.errors.KafkaTimeoutError(),
        AfreshError("mend it"),
    ],
    ids=repr,
)
def test_another_error_is_no_refusal(error: BaseException | None) -> None:
    assert refusal(error) is None
    assert told(SETTINGS, error) is error


LOGINS = [
    aiokafka.errors.AuthenticationFailedError(),
    aiokafka.errors.SaslAuthenticationFailed("wrong"),
    kafka.errors.SaslAuthenticationFailedError("wrong"),
]


@pytest.mark.parametrize("error", LOGINS, ids=repr)
def test_a_login_that_either_client_is_refused_names_the_user_and_the_settings(error: Exception) -> None:
    assert str(told(SETTINGS, error)) == (
        "Kafka at k:9092 refuses the user 'ann'; check AFRESH_KAFKA_USER, AFRESH_KAFKA_PASSWORD and AFRESH_KAFKA_SASL"
    )


def test_a_missing_right_names_the_user_the_operation_and_the_resource_and_says_how_to_grant_it() -> None:
    assert sentence(Right("Read", GROUP, "afresh")) == (
        f"User:ann may not Read group afresh: grant it with {COMMAND} --operation Read --group afresh"
    )
    assert sentence(Right("Write", TRANSACTIONAL_ID, "afresh-0")) == (
        "User:ann may not Write transactional id afresh-0: grant it with "
        f"{COMMAND} --operation Write --transactional-id afresh-0"
    )
    assert sentence(Right("IdempotentWrite", "cluster")) == (
        f"User:ann may not IdempotentWrite the cluster: grant it with {COMMAND} --operation IdempotentWrite --cluster"
    )


def test_rights_of_one_kind_share_a_command() -> None:
    assert sentence(
        Right("Read", TOPIC, "afresh.a"), Right("Write", TOPIC, "c"), Right("Read", TOPIC, "b")
    ) == (
        "User:ann may not Read topics afresh.a, b: grant it with "
        f"{COMMAND} --operation Read --topic afresh.a --topic b; "
        f"User:ann may not Write topic c: grant it with {COMMAND} --operation Write --topic c"
    )


def test_many_rights_and_those_without_a_name_are_granted_by_their_prefix() -> None:
    many = [Right("Read", TOPIC, f"afresh.{name}") for name in "abcde"]
    granted = f"grant it with {COMMAND} --operation Read --topic afresh. --resource-pattern-type prefixed"
    assert sentence(*many) == (
        f"User:ann may not Read topics that begin with afresh. (afresh.a, afresh.b, afresh.c and 2 more): {granted}"
    )
    assert (
        sentence(Right("Read", TOPIC)) == f"User:ann may not Read topics that begin with afresh.: {granted}"
    )


def test_whoever_logs_in_by_a_certificate_or_not_at_all_is_named_as_far_as_it_is_known() -> None:
    group = Right("Read", GROUP, "afresh")
    by_certificate: dict[str, Any] = {"kafka_tls": True, "kafka_certificate_file": "client.pem"}
    owner = Settings(_env_file=None).model_copy(update=by_certificate)
    assert sentence(group, settings=owner).startswith(
        "the owner of AFRESH_KAFKA_CERTIFICATE_FILE may not Read group"
    )
    assert "--allow-principal PRINCIPAL " in sentence(group, settings=owner)
    nobody = sentence(group, settings=Settings(_env_file=None))
    assert nobody.startswith("User:ANONYMOUS may not Read")
    spaced = SETTINGS.model_copy(update={"kafka_user": "ann smith"})
    assert "--allow-principal 'User:ann smith' " in sentence(group, settings=spaced)


def test_rights_that_a_broker_does_not_tell_are_not_missing() -> None:
    wanted = needs(read=[TOPICS.events], written=[TOPICS.events])
    events = TOPICS.events.name

    def missing(**told: Any) -> list[str]:
        return [right.operation for right in lacking({events: {"error_code": 0, **told}}, wanted)]

    assert missing() == missing(authorized_operations=None) == []
    assert missing(authorized_operations=["DESCRIBE", "READ"]) == [WRITE]
    assert missing(authorized_operations=["DESCRIBE", "WRITE", "READ"]) == []
    assert missing(error_code=29) == ["Read", "Write"]
    assert [right.operation for right in lacking({events: {"error_code": 29}}, needs())] == ["Describe"]


def test_only_missing_rights_raise() -> None:
    require([])
    with pytest.raises(NotAllowedError) as raised:
        require([Right("Read", TOPIC, "a")])
    assert raised.value.rights == (Right("Read", TOPIC, "a"),)
