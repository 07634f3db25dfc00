from pathlib import Path
from typing import Any

import pytest

from afresh.state.errors import AfreshError
from afresh.streams.settings import Settings
from afresh.streams.workers import model
from afresh.streams.workers.model import ModelWorker


def settings_for(folder: Path, **fields: Any) -> Settings:
    values: dict[str, Any] = {"kafka": "127.0.0.1:1", "data_dir": folder, "start_timeout_seconds": 0.3}
    return Settings(_env_file=None, **({"model": "worker"} | values | fields))


def test_a_model_worker_without_a_broker_ends_after_the_timeout(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match=r"Kafka at 127\.0\.0\.1:1 did not answer"):
        model.run(settings_for(tmp_path))


def test_a_model_worker_refuses_to_start_where_workers_make_the_model(tmp_path: Path) -> None:
    with pytest.raises(AfreshError, match="set AFRESH_MODEL=worker for all processes"):
        model.run(settings_for(tmp_path, model="inline"))


def test_a_model_worker_that_has_not_started_is_not_ready(tmp_path: Path) -> None:
    assert ModelWorker(settings_for(tmp_path)).not_ready() == "no partitions assigned"
