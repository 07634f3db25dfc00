from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afresh.models.identity.fingerprints import PAUSE, gather, halve
from tests.models.identity.crowds import fingerprint

HOUR = 3600


def test_a_session_ends_with_a_pause_and_with_its_account() -> None:
    crowd = gather([fingerprint("web:1", [0, PAUSE, 3 * PAUSE]), fingerprint("app:1", [3 * PAUSE])])
    sessions = crowd.sessions()
    assert sessions.begins.tolist() == [0, 3 * PAUSE, 3 * PAUSE]
    assert sessions.ends.tolist() == [PAUSE, 3 * PAUSE, 3 * PAUSE]
    assert sessions.counts.tolist() == [2, 1]


def test_what_has_left_the_history_is_known_to_be_taken_but_not_when() -> None:
    crowd = gather([fingerprint("web:1", [5, 4], [7, 8], older=[8, 9])])
    assert crowd.times.tolist() == [4, 5]
    assert crowd.sets.toarray().tolist() == [[1, 1, 1]]


def test_halves_have_the_sessions_in_turns_and_who_has_one_stays_whole() -> None:
    whole = gather([fingerprint("web:1", [0, HOUR, 2 * HOUR]), fingerprint("web:2", [0, 1], older=[99])])
    halves, partners = halve(whole, 1)
    assert sorted(partners.tolist()) == [-1, 0, 1]
    assert [halves.times[halves.owners == each].tolist() for each in (0, 1)] in (
        [[0, 2 * HOUR], [HOUR]],
        [[HOUR], [0, 2 * HOUR]],
    )
    assert halves.times[halves.owners == 2].tolist() == [0, 1]
    assert not halves.sets.toarray()[:, -1].any()


@given(
    st.lists(st.lists(st.integers(0, 10**5), min_size=1, max_size=12), min_size=1, max_size=6),
    st.integers(0, 9),
)
def test_halves_lose_no_event_and_are_each_others_on_two_platforms(times: list[list[int]], seed: int) -> None:
    crowd = gather([fingerprint(f"web:{each}", some) for each, some in enumerate(times)])
    halves, partners = halve(crowd, seed)
    assert sorted(halves.times.tolist()) == sorted(crowd.times.tolist())
    cut = np.flatnonzero(partners >= 0)
    assert (partners[partners[cut]] == cut).all()
    assert (halves.platforms[cut] != halves.platforms[partners[cut]]).all()
    assert len(cut) == 2 * np.count_nonzero(crowd.sessions().counts > 1)
