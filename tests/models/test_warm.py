import subprocess
import sys
from typing import Any

import numpy as np

from afresh.models import scorers, scoring
from afresh.models.compiled import FOLDER
from afresh.models.fusion import features, weights
from afresh.models.fusion.weights import Weights
from afresh.models.learning.neighbours import accumulate
from afresh.models.lists import rank
from afresh.models.relations.relations import take_largest
from afresh.models.relations.revising import fold_in, revise_rows, revise_texts
from afresh.models.retrieval.lookup import enter, find, find_halves
from afresh.models.warm import warm
from afresh.state.rows.behaviour import BehaviourRows
from afresh.state.rows.content import TEXT, Vector
from afresh.state.rows.learning import learn
from afresh.streams.serving.lister import Lister, Recipient
from tests.state.making import example
from tests.streams.making import catalogue_of, count, describe, user_row

COMPILED: tuple[Any, ...] = (
    scoring._score_all,
    weights.fuse,
    weights.largest_parts,
    features.split,
    rank.first_of,
    accumulate,
    enter,
    find,
    find_halves,
    revise_rows,
    revise_texts,
    fold_in,
    take_largest,
)


def forms() -> list[int]:
    """Return in how many forms each function is compiled, one for each combination of types."""
    return [len(each.signatures) for each in COMPILED]


def test_after_warming_a_real_list_needs_nothing_else_compiled() -> None:
    warm()
    before = forms()
    catalogue = catalogue_of(*(f"i{number}" for number in range(20)))
    catalogue.derive()
    recipients = [Recipient("web:ann", 0, user_row("i1", "i2"), 5), Recipient("web:bob", 0, user_row(), 5)]
    lister = Lister(catalogue, 5)
    assert len(lister.make(recipients, Weights(scorers.prior()))) == 2
    assert lister.popular(Weights(scorers.prior()))
    assert forms() == before


def test_after_warming_nothing_else_is_compiled_to_learn() -> None:
    warm()
    before = forms()
    learn(BehaviourRows({}), [example("a", "b", "c"), example("a"), example("d", "a")])
    assert forms() == before


def test_after_warming_nothing_else_is_compiled_to_revise_what_stands() -> None:
    warm()
    before = forms()
    catalogue = catalogue_of("a", "b", "c")
    catalogue.derive()
    count(catalogue, {"new": 2.0}, {"new": {"a": 9.0}})
    describe(catalogue, "b", vectors=[Vector(TEXT, "e", "1", 0, np.ones(3, "<f2").tobytes())])
    catalogue.revise()
    assert forms() == before


def test_the_command_says_where_machine_code_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "afresh.models.warm"], capture_output=True, text=True, check=True
    )
    assert str(FOLDER) in done.stdout
