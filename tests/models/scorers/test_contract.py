"""All scorers keep to the contract, and a scorer that breaks it is found out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afresh.models.arrays import NONE, Floats, Indices
from afresh.models.layout import HISTORY
from afresh.models.retrieval.asking import Asked, History, Items
from afresh.models.scorers import SCORERS
from afresh.models.scorers.base import Fill, Scorer
from afresh.models.scorers.cases import TEXT, Case, cases, catalogue, user, without_counts, without_text
from afresh.models.scorers.contract import check_case, check_scorer

each_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: "+".join(scorer.priors))


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    count, seed = draw(st.integers(1, 40)), draw(st.integers(0, 1000))
    indices = st.integers(0, count - 1)
    history = draw(st.lists(st.one_of(indices, st.just(NONE)), max_size=HISTORY))
    items = catalogue(count, seed)
    for bare in draw(st.sets(st.sampled_from([without_text, without_counts]))):
        items = bare(items)
    made = user(HISTORY, len(history), seed)
    who = replace(made, history=np.array(history, np.int32), taken=draw(st.integers(len(history), 10**6)))
    chosen = draw(st.lists(indices, unique=True))
    return Case("a case drawn", who, items, np.array(chosen, np.int32))


@each_scorer
def test_every_scorer_keeps_to_the_contract(scorer: Scorer) -> None:
    for seed in range(3):
        check_scorer(scorer, seed)


@each_scorer
@given(case=any_case())
@settings(deadline=None, max_examples=40)
def test_every_scorer_keeps_to_the_contract_in_any_case(scorer: Scorer, case: Case) -> None:
    check_case(scorer, case)


def right(asked: Asked, chosen: Indices) -> Floats:
    """Return two scores that keep to the contract."""
    return np.stack([asked.items.mass[chosen], asked.items.counts[chosen, 0]])


def of(score: Callable[[Asked, Indices], Floats]) -> Scorer:
    return Scorer({"one": (0.0, 1.0), "two": (0.5, 0.5)}, score)


def after(change: Callable[[Asked, Indices, Floats], object]) -> Callable[[Asked, Indices], Floats]:
    """Make a scorer whose scores are right until ``change`` is called at the end."""

    def score(asked: Asked, chosen: Indices) -> Floats:
        scores = right(asked, chosen)
        change(asked, chosen, scores)
        return scores

    return score


def put(array: np.ndarray, value: float) -> None:
    array[...] = value


def turn_first(scores: Floats, value: float) -> None:
    scores[0, :1] = value


def counting() -> Callable[[Asked, Indices], Floats]:
    calls: list[int] = []

    def score(asked: Asked, chosen: Indices) -> Floats:
        calls.append(1)
        return right(asked, chosen) + np.float32(len(calls))

    return score


def remembering() -> Callable[[Asked, Indices], Floats]:
    """Make a scorer whose scores depend on how many candidates were ever scored at once."""
    most = [0]

    def score(asked: Asked, chosen: Indices) -> Floats:
        most[0] = max(most[0], len(chosen))
        return right(asked, chosen) + np.float32(most[0])

    return score


def test_right_scores_pass() -> None:
    check_scorer(of(right))


BROKEN = {
    "not a number": (after(lambda a, c, s: turn_first(s, np.nan)), "a score is not finite"),
    "infinite": (after(lambda a, c, s: turn_first(s, np.inf)), "a score is not finite"),
    "negative": (after(lambda a, c, s: turn_first(s, -1e-3)), "a score is below 0"),
    "float64": (lambda a, c: right(a, c).astype(np.float64), "float64 and not float32"),
    "a list": (lambda a, c: right(a, c).tolist(), "a list and not an array"),
    "too few scorers": (lambda a, c: right(a, c)[:1], r"of shape \(1, 30\) and not \(2, 30\)"),
    "turned": (lambda a, c: right(a, c).T, "of shape"),
    "whole catalogue": (lambda a, c: np.stack([a.items.mass] * 2), "depend on the order"),
    "by place": (lambda a, c: right(a, c) + np.arange(len(c), dtype=np.float32), "depend on the order"),
    "by the first candidate": (lambda a, c: right(a, c) + right(a, c[:1]).sum(), "depend on the order"),
    "by the largest": (
        lambda a, c: right(a, c) / right(a, c).max(initial=1e-9),
        "depend on the other candidates",
    ),
    "by their number": (lambda a, c: right(a, c) + np.float32(len(c)), "depend on the other candidates"),
    "counting": (counting(), "differ when asked again"),
    "at random": (
        lambda a, c: np.random.default_rng().random((2, len(c)), np.float32),
        "differ when asked again",
    ),
    "remembering": (remembering(), "differ after somebody else"),
    "writes to items": (after(lambda a, c, s: put(a.items.counts, 1.0)), "writes to items.counts$"),
    "writes to the history": (after(lambda a, c, s: put(a.user.history, 0)), "writes to user.history$"),
    "writes to the ages": (after(lambda a, c, s: put(a.user.ages, 0)), "writes to user.ages$"),
    "sorts the candidates": (after(lambda a, c, s: c.sort()), "writes to chosen$"),
    "needs a history": (after(lambda a, c, s: a.indices[0]), "no history: raises IndexError"),
    "needs candidates": (after(lambda a, c, s: c[0]), "no candidates: raises IndexError"),
    "needs two items": (after(lambda a, c, s: a.items.mass[1]), "one item, 0 of it taken: raises IndexError"),
    "needs texts": (
        lambda a, c: right(a, c) + np.abs(a.items.codes[c][:, TEXT - 1]),
        "without text: raises IndexError",
    ),
    "needs counts": (
        lambda a, c: right(a, c) / a.items.counts[c, 0],
        "nobody has taken: a score is not finite",
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_scorer_that_breaks_the_contract_is_found_out(kind: str) -> None:
    score, said = BROKEN[kind]
    with pytest.raises(AssertionError, match=said):
        check_scorer(of(score))


def fill(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
    """Fill in what ``right`` returns."""
    scores[0], scores[1] = items.mass[chosen], items.counts[chosen, 0]


def filled_and(change: Callable[[History, Items, Floats], object]) -> Fill:
    """Make a compiled form that is right until ``change`` is called at the end."""

    def made(history: History, items: Items, chosen: Indices, places: Indices, scores: Floats) -> None:
        fill(history, items, chosen, places, scores)
        change(history, items, scores)

    return made


def test_a_compiled_form_that_agrees_with_plain_numpy_passes() -> None:
    check_scorer(replace(of(right), fill=fill))


BROKEN_FILLS = {
    "differs": (
        filled_and(lambda h, i, s: put(s, 0.5)),
        "scores of one differ from those in plain numpy",
    ),
    "not a number": (filled_and(lambda h, i, s: turn_first(s, np.nan)), "a score is not finite"),
    "writes to items": (filled_and(lambda h, i, s: put(i.counts, 1.0)), "writes to items.counts$"),
    "needs a history": (filled_and(lambda h, i, s: h.indices[0]), "no history: raises IndexError"),
}


@pytest.mark.parametrize("kind", BROKEN_FILLS)
def test_a_compiled_form_that_breaks_the_contract_is_found_out(kind: str) -> None:
    broken, said = BROKEN_FILLS[kind]
    with pytest.raises(AssertionError, match=said) as found:
        check_scorer(replace(of(right), fill=broken))
    assert str(found.value).startswith("one+two, compiled, on ")


@pytest.mark.parametrize("priors", [{}, {"one": (1.0,)}, {"one": (float("nan"), 0.0)}])
def test_priors_that_are_not_two_finite_numbers_are_found_out(priors: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(AssertionError):
        check_scorer(Scorer(priors, lambda asked, chosen: np.ones((len(priors), len(chosen)), np.float32)))


def test_cases_are_equal_for_equal_seeds_and_differ_for_different_seeds() -> None:
    first, again, other = ([case.items.mass.tolist() for case in cases(seed)] for seed in (1, 1, 2))
    assert first == again != other
