from dataclasses import replace

import numpy as np

from afresh.models.layout import HALF_LIVES_MS, HORIZONS
from afresh.models.scorers.cases import NOW_MS, catalogue, user
from afresh.models.scorers.popularity import TENURE_FLOOR
from tests.models.making import scores


def test_counts_have_faded_up_to_the_time_of_the_list() -> None:
    items = catalogue()
    raw = scores(user(), items)
    left = 2 ** (-1000 / HALF_LIVES_MS)
    for column, name in enumerate(("popular", "trending", "hour", "week")):
        np.testing.assert_allclose(raw[name], left[column] * items.counts[:, column], rtol=1e-6)
    assert raw["ever"].tolist() == items.examples.tolist()


def test_the_stage_scorer_counts_what_users_of_the_same_tenure_took() -> None:
    items = catalogue()
    for taken, tenure in ((0, 0), (5, 3), (10_000, 9)):
        raw = scores(replace(user(), taken=taken), items)
        left = 2 ** (-1000 / HALF_LIVES_MS[0])
        expected = left * (items.counts[:, HORIZONS + tenure] + TENURE_FLOOR * items.counts[:, 0])
        np.testing.assert_allclose(raw["stage"], expected, rtol=1e-6)


def test_time_without_events_does_not_change_the_order_of_popular_items() -> None:
    later = replace(user(), now_ms=NOW_MS + 90 * 86_400_000)
    now, then = (scores(each, catalogue())["trending"] for each in (user(), later))
    assert (np.argsort(now) == np.argsort(then)).all()
