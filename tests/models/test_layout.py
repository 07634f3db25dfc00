from afresh.models import layout
from afresh.state.rows.behaviour import BEHAVIOUR_ROW_VERSION, ROW
from afresh.state.rows.details import DETAIL
from afresh.state.rows.users import USER_ROW_VERSION

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def test_item_rows_get_a_new_version_when_their_layout_changes() -> None:
    assert (BEHAVIOUR_ROW_VERSION, ROW.itemsize) == (3, 1421)
    assert (layout.NEIGHBOURS, layout.HORIZONS, layout.TENURES) == (96, 4, 10)


def test_counts_in_rows_of_version_3_fade_by_these_half_lives() -> None:
    half_lives = [30 * DAY_MS, DAY_MS, 2 * HOUR_MS, 7 * DAY_MS, *[30 * DAY_MS] * layout.TENURES]
    assert (BEHAVIOUR_ROW_VERSION, layout.HALF_LIVES_MS.tolist()) == (3, half_lives)


def test_user_rows_get_a_new_version_when_the_history_changes_its_length() -> None:
    assert (USER_ROW_VERSION, layout.HISTORY, DETAIL.itemsize) == (3, 50, 6)
