from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from prometheus_client import REGISTRY

from afresh.state.errors import START_AGAIN_STATUS, AfreshError, StartAgainError
from afresh.streams.kafka import incarnations
from afresh.streams.kafka.incarnations import Incarnations, TopicWatch
from afresh.streams.kafka.rights import Needs, NotAllowedError, needs
from afresh.streams.settings import Settings
from afresh.streams.topics import Topics

SETTINGS = Settings(_env_file=None, namespace="test")
TOPICS = Topics(SETTINGS)
RIGHTS = needs(read=[TOPICS.events])


class FakeClient:
    """A client with prepared answers."""

    def __init__(self, *answers: Any, policies: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.wrong = policies or {}
        self.closed = False
        self.looks = 0

    def incarnations(self, names: list[str], rights: Needs) -> dict[str, int]:
        assert rights == RIGHTS
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(names, answer)

    def policies(self, _: Any) -> dict[str, str]:
        self.looks += 1
        return self.wrong

    def close(self) -> None:
        self.closed = True


def watch(client: FakeClient, ended: list[AfreshError]) -> tuple[TopicWatch, Incarnations]:
    met = Incarnations()

    async def end(error: AfreshError) -> None:
        ended.append(error)

    made = TopicWatch(SETTINGS, [TOPICS.events, TOPICS.users], RIGHTS, met, end)
    made._client = client  # type: ignore[assignment]
    return made, met


async def test_a_topic_that_is_made_again_ends_the_process_to_be_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incarnations, "WATCH_SECONDS", 0.0)
    ended: list[AfreshError] = []
    client = FakeClient(7, 7, KafkaConnectionError(), 7, 8)
    made, met = watch(client, ended)
    await made.ask()
    assert met.of(TOPICS.events.name) == 7
    await made.run()
    (error,) = ended
    assert isinstance(error, StartAgainError)
    assert error.status == START_AGAIN_STATUS == 75
    assert "test.events was deleted and made again while this process ran; start it again" in str(error)
    assert client.closed


async def test_policies_are_looked_at_more_seldom_than_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incarnations, "WATCH_SECONDS", 0.0)
    client = FakeClient(*[7] * (2 * incarnations.LOOKS_A_POLICY), 8)
    made, _ = watch(client, [])
    await made.run()
    assert client.answers == []
    assert client.looks == 2


async def test_a_topic_that_changed_between_the_first_question_and_the_next_is_noticed() -> None:
    made, _ = watch(FakeClient(7, 8), [])
    await made.ask()
    with pytest.raises(StartAgainError):
        await made.ask()


async def test_a_topic_that_is_missing_for_a_while_is_still_the_same() -> None:
    met = Incarnations()
    met.learn({"events": 7})
    met.learn({})
    met.learn({"events": 7})
    assert met.of("events") == 7
    assert met.of("items") == 0


async def test_a_wrong_policy_is_told_at_once_and_then_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = FakeClient(7, 7, 7, 7, policies={TOPICS.users.name: "delete"})
    made, _ = watch(client, [])

    def shown() -> float | None:
        return REGISTRY.get_sample_value("afresh_topic_policy_wrong", {"topic": TOPICS.users.name})

    await made.look(policies=True)
    await made.look(policies=True)
    assert caplog.text.count("has cleanup.policy delete instead of compact") == 1
    assert shown() == 1
    monkeypatch.setattr(incarnations, "POLICY_SECONDS", 0.0)
    await made.look(policies=True)
    assert caplog.text.count("has cleanup.policy delete instead of compact") == 2
    client.wrong = {}
    await made.look(policies=True)
    assert shown() == 0


@pytest.mark.parametrize(
    "refused", [NotAllowedError("a right is missing"), SaslAuthenticationFailedError("wrong")]
)
async def test_a_right_or_a_login_that_is_taken_away_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, refused: Exception
) -> None:
    monkeypatch.setattr(incarnations, "WATCH_SECONDS", 0.0)
    ended: list[AfreshError] = []
    made, _ = watch(FakeClient(7, refused), ended)
    await made.run()
    (error,) = ended
    assert isinstance(error, NotAllowedError)
