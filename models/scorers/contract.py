"""The contract of scorers: ``check_scorer`` tries a scorer, and says where it breaks the contract.

It works like river's ``check_estimator``. Every scorer in ``SCORERS`` must pass. A scorer that was written elsewhere
can be tried before it is added. For this the contract is beside the scorers, because the tests are not installed.

The scores of a scorer

* are float32, of shape (len(priors), C), finite, and not below 0;
* do not depend on the other candidates or their order: lists must not depend on the order in which items came, and the
  benchmark scores whole catalogues in blocks;
* are the same, to the last bit, for the same input, no matter who was scored before, so that a list can be made again;
* leave their inputs unchanged: all scorers of all users read the same arrays;
* are the same by the compiled form, if there is one, as in plain numpy, within ``TOLERANCE``.

All this holds without a history, without candidates, in a catalogue of one item, and for items without text or counts.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from afresh.models.arrays import Floats, Indices
from afresh.models.retrieval.asking import Asked, Items, User
from afresh.models.scorers.base import Scorer, filled
from afresh.models.scorers.cases import Case, cases

TOLERANCE = 1e-4
"""Relative tolerance between scores among different candidates: matrix products of other shapes differ in the last
bits."""


def check_scorer(scorer: Scorer, seed: int = 0) -> None:
    """Try a scorer on a case of every kind.

    Parameters
    ----------
    scorer
        The scorer to try.
    seed
        Seed of the cases.

    Raises
    ------
    AssertionError
        The scorer breaks the contract. The message says how, and in which case.

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
    checks = [
        _check_scores,
        _check_inputs_are_left_alone,
        _check_repeats,
        _check_candidates_stand_alone,
    ]
    _check_all(scorer, case, _name(scorer), checks)
    if scorer.fill is not None:
        compiled = Scorer(scorer.priors, partial(filled, scorer))
        _check_all(compiled, case, f"{_name(scorer)}, compiled", checks)
        _check_all(scorer, case, f"{_name(scorer)}, compiled", [_check_compiled])


def _check_all(
    scorer: Scorer, case: Case, name: str, checks: Sequence[Callable[[Scorer, Case], None]]
) -> None:
    try:
        for check in checks:
            check(scorer, case)
    except Exception as error:
        what = error if isinstance(error, AssertionError) else f"raises {error!r}"
        raise AssertionError(f"{name}, on {case.name}: {what}") from error


def _check_compiled(scorer: Scorer, case: Case) -> None:
    plain, compiled = scorer.score(_ask(case), case.chosen), filled(scorer, _ask(case), case.chosen)
    for name, one, other in zip(scorer.priors, compiled, plain, strict=True):
        _require(_alike(one, other), f"scores of {name} differ from those in plain numpy")


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


def _ask(case: Case) -> Asked:
    return Asked(case.user, case.items)


def _check_scores(scorer: Scorer, case: Case) -> None:
    # A copy: the later checks need the case unchanged, and this scorer may write to it.
    case = copy.deepcopy(case)
    scores, wanted = scorer.score(_ask(case), case.chosen), (len(scorer.priors), len(case.chosen))
    _require(isinstance(scores, np.ndarray), f"scores are a {type(scores).__name__} and not an array")
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
    """Collect everything that a scorer is given, by name."""
    arrays = {
        "chosen": chosen,
        "indices": asked.indices,
        "user.history": asked.user.history,
        "user.ages": asked.user.ages,
    }
    arrays |= {f"items.{name}": getattr(asked.items, name) for name in Items._fields}
    return {name: array.tobytes() for name, array in arrays.items()}


def _check_repeats(scorer: Scorer, case: Case) -> None:
    asked = _ask(case)
    first = scorer.score(asked, case.chosen).tobytes()
    _require(scorer.score(asked, case.chosen).tobytes() == first, "scores differ when asked again")
    other = _somebody_else(case)
    scorer.score(_ask(other), other.chosen)
    again = scorer.score(_ask(case), case.chosen)
    _require(again.tobytes() == first, "scores differ after somebody else was scored")


def _somebody_else(case: Case) -> Case:
    """Make another user of the same catalogue, with all items as candidates."""
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
