import math
import shutil
from pathlib import Path

from prometheus_client import REGISTRY

from afresh.streams.workers.disk import show_disk


def read(metric: str) -> float:
    value = REGISTRY.get_sample_value(metric)
    assert value is not None
    return value


def test_the_metrics_show_how_much_of_the_disk_is_free(tmp_path: Path) -> None:
    show_disk(tmp_path)
    assert read("afresh_disk_size_bytes") == shutil.disk_usage(tmp_path).total
    assert 0 < read("afresh_disk_free_bytes") < read("afresh_disk_size_bytes")


def test_a_folder_that_is_gone_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    show_disk(tmp_path / "gone")
    assert math.isnan(read("afresh_disk_free_bytes"))
    assert math.isnan(read("afresh_disk_size_bytes"))
