from __future__ import annotations

import numpy as np

from afresh.models.identity.fingerprints import Fingerprint, gather
from afresh.models.identity.pairs import Prepared, evidence, learn_again, prepare
from afresh.models.identity.traits import learn_space, learn_spread
from tests.models.identity.crowds import DAY, fingerprint, people

FIRST, SECOND = np.arange(0, 120, 2), np.arange(1, 120, 2)


def known(fingerprints: list[Fingerprint]) -> Prepared:
    crowd = gather(fingerprints)
    return prepare(crowd, learn_space(crowd))


def said(fingerprints: list[Fingerprint], again: float, *pairs: tuple[int, int]) -> np.ndarray:
    """Return what sessions and items say of pairs of the first accounts, beside 60 people with two accounts."""
    crowd = known([*people(60, 60, 3), *fingerprints])
    spread = learn_spread(crowd.traits, FIRST, SECOND)
    first, second = 120 + np.array(pairs).T
    return evidence(crowd, spread, again, first, second)[:, :2]


def test_sessions_that_begin_where_others_end_speak_for_one_person() -> None:
    here = fingerprint("web:1", [1000 * DAY, 1000 * DAY + 60])
    soon = fingerprint("app:1", [1000 * DAY + 2 * 3600])
    late = fingerprint("app:2", [1500 * DAY])
    near, far = said([here, soon, late], 0.5, (0, 1), (0, 2))[:, 0]
    assert near > far


def test_nearer_than_a_pause_counts_as_a_pause() -> None:
    here = fingerprint("web:1", [1000 * DAY])
    others = [fingerprint(f"app:{each}", [1000 * DAY + each]) for each in (1, 60, 1800)]
    near = said([here, *others], 0.5, (0, 1), (0, 2), (0, 3))[:, 0]
    assert len(set(near.tolist())) == 1


def test_a_pair_says_the_same_from_both_ends() -> None:
    crowd = known(people(60, 60, 3))
    spread = learn_spread(crowd.traits, FIRST, SECOND)
    there, back = evidence(crowd, spread, 0.1, FIRST, SECOND), evidence(crowd, spread, 0.1, SECOND, FIRST)
    np.testing.assert_allclose(there, back, rtol=1e-4, atol=1e-6)


def test_a_common_item_speaks_against_one_person_where_nobody_takes_one_twice_and_for_one_where_people_do() -> (
    None
):
    one, other = fingerprint("web:1", [0, 1], [0, 1]), fingerprint("app:1", [DAY, DAY + 1], [0, 2])
    apart = fingerprint("app:2", [DAY, DAY + 1], [3, 2])
    once = said([one, other, apart], 0.001, (0, 1), (0, 2))[:, 1]
    often = said([one, other, apart], 20.0, (0, 1), (0, 2))[:, 1]
    assert once[0] < 0 < once[1] + 1e-3
    assert often[0] > 0
    assert often[0] > often[1]


def test_how_often_people_take_an_item_again_is_learned() -> None:
    never = known(people(60, 60, 3))
    always = known(
        [
            each._replace(account=f"{platform}:{number}", platform=platform)
            for number, each in enumerate(people(60, 0, 3))
            for platform in ("web", "app")
        ]
    )
    assert learn_again(never, FIRST, SECOND) < 0.1
    assert learn_again(always, FIRST, SECOND) > 1
