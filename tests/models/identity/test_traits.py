from __future__ import annotations

import numpy as np
import pytest

from afresh.models.identity.fingerprints import gather
from afresh.models.identity.traits import Spread, Traits, alike, learn_space, learn_spread, traits_of
from tests.models.identity.crowds import people

FIRST, SECOND = np.arange(0, 4000, 2), np.arange(1, 4000, 2)


def traits(means: np.ndarray, counts: float) -> Traits:
    return Traits(means[:, None], np.full((len(means), 1), counts), (slice(0, 1),))


def test_variances_of_people_and_of_their_accounts_are_told_apart() -> None:
    random = np.random.default_rng(1)
    own = np.repeat(random.normal(2, 3, 2000), 2)
    counts = random.integers(1, 20, 4000).astype(float)
    means = own + random.normal(0, np.sqrt(0.5 + 4 / counts))
    spread = learn_spread(Traits(means[:, None], counts[:, None], (slice(0, 1),)), FIRST, SECOND)
    mean, between, lasting, passing = np.concatenate(spread)
    assert mean == pytest.approx(2, abs=0.3)
    assert between == pytest.approx(9, rel=0.15)
    assert lasting == pytest.approx(0.5, abs=0.25)
    assert passing == pytest.approx(4, rel=0.2)


def test_the_logarithm_is_that_of_the_two_normal_densities() -> None:
    spread = Spread(np.array([1.0]), np.array([2.0]), np.array([0.3]), np.array([0.8]))
    said = alike(traits(np.array([1.5, 2.5]), 4), spread, np.array([0]), np.array([1]))

    def density(covariance: np.ndarray) -> float:
        x = np.array([0.5, 1.5])
        return float(-x @ np.linalg.inv(covariance) @ x / 2 - np.log(np.linalg.det(covariance)) / 2)

    one_person = density(np.array([[2.5, 2.0], [2.0, 2.5]]))
    assert said[0, 0] == pytest.approx(one_person - density(np.diag([2.5, 2.5])))


def test_more_observations_say_more_and_none_say_nothing() -> None:
    spread = Spread(np.array([0.0]), np.array([1.0]), np.array([0.0]), np.array([1.0]))
    few, many, none = (
        alike(traits(np.array([2.0, 2.0]), counts), spread, np.array([0]), np.array([1]))[0, 0]
        for counts in (1, 100, 0)
    )
    assert many > few > 0
    assert none == pytest.approx(0, abs=1e-5)


def test_a_trait_that_few_pairs_show_says_nothing() -> None:
    spread = learn_spread(traits(np.arange(4.0), 1), np.array([0, 2]), np.array([1, 3]))
    assert alike(traits(np.arange(4.0), 1), spread, np.array([0]), np.array([1])).tolist() == [[0]]


def test_accounts_of_one_person_are_more_alike_in_every_kind_that_people_differ_in() -> None:
    crowd = gather(people(300, 300, 2))
    made = traits_of(crowd, learn_space(crowd))
    first, second = np.arange(0, 600, 2), np.arange(1, 600, 2)
    spread = learn_spread(made, first, second)
    same, others = alike(made, spread, first, second), alike(made, spread, first, np.roll(second, 1))
    values, pace, taste, hours, _ = same.mean(axis=0) - others.mean(axis=0)
    assert min(values, pace, taste, hours) > 0.3
