import pytest
from prometheus_client import REGISTRY

from afresh.streams import metrics


@pytest.fixture(autouse=True)
def _no_platforms_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_platforms", set())


def test_a_platform_is_labelled_by_its_name() -> None:
    assert metrics.platform_label("tv") == metrics.platform_label("tv") == "tv"


def test_platforms_beyond_the_limit_share_a_label() -> None:
    labels = [metrics.platform_label(f"p{number}") for number in range(3 * metrics.LABEL_VALUES)]
    assert len(set(labels)) == metrics.LABEL_VALUES + 1
    assert set(labels[metrics.LABEL_VALUES :]) == {metrics.OTHER}
    assert metrics.platform_label("p0") == "p0"


def test_every_metric_of_ours_has_our_prefix_and_none_is_labelled_by_user_or_item() -> None:
    ours = [
        each for each in vars(metrics).values() if hasattr(each, "_labelnames") and hasattr(each, "describe")
    ]
    assert len(ours) > 20
    for metric in ours:
        assert metric._name.startswith("afresh_")
        assert not {"user", "item"} & set(metric._labelnames)


def test_a_name_of_any_characters_is_a_label() -> None:
    label = metrics.platform_label('we"b\n🎬\0')
    metrics.EVENTS.labels("view", label, "accepted").inc()
    labels = {"type": "view", "platform": label, "outcome": "accepted"}
    assert REGISTRY.get_sample_value("afresh_events_total", labels) == 1


def test_encoders_that_have_no_vectors_left_are_not_shown_any_more() -> None:
    def shown(version: str) -> float | None:
        return REGISTRY.get_sample_value("afresh_encoder_items", {"encoder": "tiny", "version": version})

    metrics.report_encoders({("tiny", "1"): 5, ("tiny", "2"): 3})
    assert (shown("1"), shown("2")) == (5, 3)
    metrics.report_encoders({("tiny", "2"): 4})
    assert (shown("1"), shown("2")) == (None, 4)
    metrics.report_encoders({})
