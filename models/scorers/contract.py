"""The contract of scorers, tried out: ``check_scorer`` tells what a scorer does not keep to.

In the manner of river's ``check_estimator``: every scorer in ``SCORERS`` has to pass, and one that was written
elsewhere can be tried before it is added. For its sake the contract stands with the scorers and not with the tests,
which are not installed; it needs numpy alone.

The scores of a scorer

* are float32, of shape (len(priors), C), finite, and not below 0;
* say of a candidate the same whatever the other candidates are, and in whatever order: lists are the same wherever rows
  happen to stand, and the benchmark scores whole catalogues part by part;
* are the same, to the last bit, for the same input, whoever was scored before, so that a list can be made again;
* leave alone what they are made from: all scorers of all users look at the same arrays;

and all that without a history, without candidates, in a catalogue of one item, and of items without text or counts.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import ASK, ASK_LONG, Asked, Items, User
from afresh.models.retrieval.places import Numbering
from afresh.models.scorers.base import Scorer
from afresh.models.scorers.cases import Case, cases

TOLERANCE = 1e-4
"""Relative, of scores among other candidates: products of matrices of other shapes differ in the last bits."""


def check_scorer(scorer: Scorer, seed: int = 0) -> None:
    """Try a scorer on a case of every kind.

    Parameters
    ----------
    scorer
        One of ours, or of one's own.
    seed
        Of the cases.

    Raises
    ------
    AssertionError
        If it does not keep to the contract: a sentence that says in what, and in which case.

    Examples
    --------
    >>> check_scorer(Scorer({"constant": (0.0, 1.0)}, lambda asked, chosen: np.ones((1, len(chosen)), np.float32)))
    >>> check_scorer(Scorer({"doubt": (0.0, 1.0)}, lambda asked, chosen: np.full((1, len(chosen)), np.nan)))
    Traceback (most recent call last):
    ...
    AssertionError: doubt, on a user like others: scores are float64 and not float32
    """
    _check_priors(scorer)
    for case in cases(seed):
        check_case(scorer, case)


def check_case(scorer: Scorer, case: Case) -> None:
    """Try a scorer on one case; see ``check_scorer``."""
    try:
        for check in (
            _check_scores,
            _check_inputs_are_left_alone,
            _check_repeats,
            _check_candidates_stand_alone,
        ):
            check(scorer, case)
    except Exception as error:
        what = error if isinstance(error, AssertionError) else f"raises {error!r}"
        raise AssertionError(f"{_name(scorer)}, on {case.name}: {what}") from error


def _name(scorer: Scorer) -> str:
    return "+".join(scorer.priors)


def _require(kept: bool, broken: str) -> None:
    # No assert statement: python -O would leave it out.
    if not kept:
        raise AssertionError(broken)


def _check_priors(scorer: Scorer) -> None:
    _require(bool(scorer.priors), "a scorer has a name")
    for name, prior in scorer.priors.items():
        good = len(prior) == 2 and all(map(math.isfinite, prior))
        _require(good, f"{name}: the prior {prior} is not two finite numbers")


def _ask(case: Case, numbering: Numbering | None = None) -> Asked:
    return Asked(case.user, case.items, numbering or Numbering())


def _check_scores(scorer: Scorer, case: Case) -> None:
    # A copy: what follows needs the case as it was, whatever the scorer does to it.
    case = copy.deepcopy(case)
    scores, wanted = scorer.score(_ask(case), case.chosen), (len(scorer.priors), len(case.chosen))
    _require(isinstance(scores, np.ndarray), f"scores are no array but {type(scores).__name__}")
    _require(scores.dtype == np.float32, f"scores are {scores.dtype} and not float32")
    _require(scores.shape == wanted, f"scores are of shape {scores.shape} and not {wanted}")
    _require(bool(np.isfinite(scores).all()), "a score is not finite")
    _require(bool((scores >= 0).all()), f"a score is below 0: {scores.min(initial=0)}")


def _check_inputs_are_left_alone(scorer: Scorer, case: Case) -> None:
    case = copy.deepcopy(case)
    asked = _ask(case)
    before = _inputs(asked, case.chosen)
    scorer.score(asked, case.chosen)
    after = _inputs(asked, case.chosen)
    changed = [name for name, data in before.items() if after[name] != data]
    _require(not changed, f"writes to {', '.join(changed)}")


def _inputs(asked: Asked, chosen: Indices) -> dict[str, bytes]:
    """Everything that a scorer is given, by name, what is made once for all scorers included."""
    arrays = {
        "chosen": chosen,
        "indices": asked.indices,
        "related": asked.related,
        "strengths": asked.strengths,
        "weights(ASK)": asked.weights(ASK),
        "weights(ASK_LONG)": asked.weights(ASK_LONG),
        "user.history": asked.user.history,
        "user.ages": asked.user.ages,
    }
    arrays |= {f"items.{name}": getattr(asked.items, name) for name in Items.__dataclass_fields__}
    return {name: array.tobytes() for name, array in arrays.items()}


def _check_repeats(scorer: Scorer, case: Case) -> None:
    numbering = Numbering()
    asked = _ask(case, numbering)
    first = scorer.score(asked, case.chosen).tobytes()
    _require(scorer.score(asked, case.chosen).tobytes() == first, "scores are others when asked again")
    other = _somebody_else(case)
    scorer.score(_ask(other, numbering), other.chosen)
    again = scorer.score(_ask(case, numbering), case.chosen)
    _require(again.tobytes() == first, "scores are others after somebody else was scored")
    _require(
        scorer.score(_ask(case), case.chosen).tobytes() == first, "scores are others with a new Numbering"
    )


def _somebody_else(case: Case) -> Case:
    """Another user of the same catalogue, with all of it for candidates."""
    items = len(case.items.keys)
    history = np.arange(min(items, 5), dtype=np.int32)
    who = User(history, 10 * history.astype(np.float32), case.user.taken + 100, case.user.now_ms)
    return replace(case, user=who, chosen=np.arange(items, dtype=np.int32))


def _check_candidates_stand_alone(scorer: Scorer, case: Case) -> None:
    whole = scorer.score(_ask(case), case.chosen)
    order = np.random.default_rng(len(case.chosen)).permutation(len(case.chosen))
    shuffled = scorer.score(_ask(case), case.chosen[order])
    _require(_alike(shuffled, whole[:, order]), "scores depend on the order of the candidates")
    some = order[: len(order) // 2]
    fewer = scorer.score(_ask(case), case.chosen[some])
    _require(_alike(fewer, whole[:, some]), "scores depend on the other candidates")


def _alike(scores: Floats, others: Floats) -> bool:
    least = TOLERANCE * float(others.max(initial=0)) / 100
    return scores.shape == others.shape and np.allclose(scores, others, TOLERANCE, least)
