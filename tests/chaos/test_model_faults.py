import random
from types import SimpleNamespace
from typing import Any

import pytest

from afresh.deploy.demo.scrape import Readings
from tests.chaos import model_faults
from tests.chaos.model_faults import ModelTopicRecreated, ModelWorkerKilled
from tests.chaos.pipeline import End


class FakeModelWorker:
    """A model worker that has derived some more versions at each look."""

    def __init__(self, name: str, *derived: int) -> None:
        self.name, self.wanted, self.page = name, True, self
        self._derived = list(derived)

    def read(self) -> Readings:
        count = self._derived.pop(0) if len(self._derived) > 1 else self._derived[0]
        return Readings(f'afresh_stage_seconds_count{{stage="derive"}} {count}\n')


def scene(*workers: FakeModelWorker) -> Any:
    pipeline = SimpleNamespace(
        model_workers=list(workers), workers=[], ends=[End("one", 75)], sleep=lambda seconds: None
    )
    return SimpleNamespace(pipeline=pipeline, random=random.Random(1))


@pytest.mark.parametrize("leads", [0, 1])
def test_the_model_worker_that_writes_a_version_is_the_one_that_has_just_derived_it(leads: int) -> None:
    workers = [FakeModelWorker("one", 3), FakeModelWorker("two", 3)]
    workers[leads] = FakeModelWorker(workers[leads].name, 3, 3, 4)
    fault = ModelWorkerKilled(scene(*workers))
    fault.wait_for_a_version()
    assert fault.worker.name == workers[leads].name


def test_while_no_version_is_written_any_model_worker_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_faults, "VERSION_SECONDS", 0.01)
    workers = [FakeModelWorker("one", 3), FakeModelWorker("two", 0)]
    fault = ModelWorkerKilled(scene(*workers))
    fault.wait_for_a_version()
    assert fault.worker.name in {"one", "two"}


def test_all_that_read_a_topic_have_to_notice_that_it_is_another_one() -> None:
    made = scene(FakeModelWorker("one", 0), FakeModelWorker("two", 0))
    fault = ModelTopicRecreated(made)
    made.pipeline.ends.append(End("two", 75))
    assert fault.unaware() == {"one"}
    made.pipeline.ends.append(End("one", 75))
    assert fault.unaware() == set()
