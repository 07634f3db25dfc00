"""BiasedMF of river, with sampled negatives."""

from __future__ import annotations

from river import optim, reco

from afresh.deploy.evaluate.baselines.river_factors import SEED, RiverFactors

FACTORS = 50
RATE = 0.05
NEGATIVES = 4
"""Chosen by HR@10 on the first half of MovieLens 100K: its last half was evaluated; see ``tests.benchmarks.tune``."""


def model(factors: int, rate: float, negatives: int) -> RiverFactors:
    """Make the model with given parameters."""
    made = reco.BiasedMF(
        n_factors=factors, bias_optimizer=optim.SGD(rate), latent_optimizer=optim.SGD(rate), seed=SEED
    )
    return RiverFactors(made, factors, negatives)


def make(events: int) -> RiverFactors:
    """Make the model with the chosen parameters."""
    return model(FACTORS, RATE, NEGATIVES)
