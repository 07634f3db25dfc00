from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from afresh.deploy.embeddings import plans
from afresh.deploy.feeds import feed
from afresh.state.encoders import Named, Plan
from afresh.state.errors import AfreshError
from afresh.streams.messages import plan_decoder
from afresh.streams.settings import Settings
from afresh.streams.topics import Topic
from tests.models.encoder.making import bert

OLD = Named("minilm", "1")


class FakeKafka:
    """A Kafka that keeps one plan, and may refuse it."""

    def __init__(self, plan: Plan | None, *, refuses: bool = False) -> None:
        self.plan = plan
        self._refuses = refuses

    def send(self, topic: str, value: bytes, key: bytes, partition: int) -> Any:
        kafka = self

        class Future:
            def get(self, timeout: float) -> None:
                assert timeout > 0
                if kafka._refuses:
                    raise KafkaTimeoutError("no leader")
                kafka.plan = plan_decoder.decode(value)

        return Future()


def use(monkeypatch: pytest.MonkeyPatch, kafka: FakeKafka) -> FakeKafka:
    @contextmanager
    def opened(settings: Settings, topic: Topic) -> Iterator[FakeKafka]:
        yield kafka

    monkeypatch.setattr(feed, "producer", opened)
    monkeypatch.setattr(plans, "current", lambda _: kafka.plan)
    return kafka


SETTINGS = Settings(_env_file=None)


def test_the_encoder_that_is_named_is_the_newest_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = str(bert(tmp_path / "new"))
    kafka = use(monkeypatch, FakeKafka(Plan([OLD], use="1", setting="1")))
    encoder = plans.refresh(SETTINGS, folder, 0.8)
    assert kafka.plan is not None
    assert (kafka.plan.wanted, kafka.plan.use, kafka.plan.threshold) == ([encoder, OLD], "", 0.8)
    plans.use(SETTINGS, "1")
    assert (kafka.plan.wanted, kafka.plan.use, kafka.plan.setting) == ([encoder, OLD], "1", "1")


def test_before_any_embed_worker_has_run_only_the_named_one_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kafka = use(monkeypatch, FakeKafka(None))
    encoder = plans.refresh(SETTINGS, str(bert(tmp_path / "new")), 0.95)
    assert kafka.plan is not None
    assert (kafka.plan.wanted, kafka.plan.setting) == ([encoder], "")


@pytest.mark.parametrize("name", ["none", "/no/such/folder.gguf"])
def test_an_encoder_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kafka = use(monkeypatch, FakeKafka(None))
    with pytest.raises(AfreshError):
        plans.refresh(SETTINGS, name, 0.95)
    assert kafka.plan is None


@pytest.mark.parametrize(("plan", "known"), [(None, "none yet"), (Plan([OLD]), r"1 \(minilm\)")])
def test_a_version_that_nobody_wants_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, plan: Plan | None, known: str
) -> None:
    use(monkeypatch, FakeKafka(plan))
    with pytest.raises(AfreshError, match=f"no encoder of version '7' is wanted; those that are: {known}"):
        plans.use(SETTINGS, "7")


def test_a_plan_that_kafka_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeKafka(Plan([OLD]), refuses=True))
    with pytest.raises(AfreshError, match=r"Kafka did not accept the command .*no leader"):
        plans.use(SETTINGS, "1")
