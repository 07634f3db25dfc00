"""The page of accuracy: tables of the measured figures, and whether the goals are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from afresh.deploy.evaluate.session import OURS
from afresh.deploy.evaluate.trials import COLD_ITEMS, COLD_USERS

NO_TEXT = "afresh, no text"
WITHOUT = "afresh without "

POPULARITY = "popularity"
SASREC = "sasrec"
COMMAND = "make bench-quality"

Rankers = dict[str, Any]


def needed(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a ranker that the page shows, with their intervals, for later comparison."""

    def means(of: dict[str, Any], *metrics: str) -> dict[str, Any]:
        return {metric: {name: of[metric][name] for name in ("mean", "low", "high")} for metric in metrics}

    cold = measured["slices"]["cold"]
    return {
        "seconds": measured["seconds"],
        "all": means(measured["all"], "hr", "ndcg", "mrr"),
        "slices": {
            "cold": {name: of and {"events": of["events"]} | means(of, "hr") for name, of in cold.items()}
        },
        "variety": {"coverage": measured["variety"]["coverage"]},
        "date": measured["date"],
        "commit": measured["commit"],
    }


class Goal(NamedTuple):
    """A goal: a figure of one set, and the least value that it should have."""

    name: str
    set: str
    least: float
    figure: Callable[[Rankers], float | None]


def rate(ranker: str, cold: str | None = None) -> Callable[[Rankers], float | None]:
    """Return a function that reads the hit rate of a ranker, over all events or over one cold slice."""

    def figure(rankers: Rankers) -> float | None:
        if ranker not in rankers:
            return None
        measured = rankers[ranker]
        of = measured["slices"]["cold"].get(cold) if cold else measured["all"]
        return None if of is None else of["hr"]["mean"]

    return figure


def ratio(
    above: Callable[[Rankers], float | None], below: Callable[[Rankers], float | None]
) -> Callable[[Rankers], float | None]:
    """Return a function that divides two figures; it returns None if one is missing."""

    def figure(rankers: Rankers) -> float | None:
        a, b = above(rankers), below(rankers)
        return a / b if a is not None and b else None

    return figure


def best_baseline(rankers: Rankers) -> float | None:
    """Return the hit rate of the best baseline."""
    rates = [each["all"]["hr"]["mean"] for name, each in rankers.items() if not name.startswith(OURS)]
    return max(rates, default=None)


def goals(sets: Iterable[str]) -> Iterator[Goal]:
    """Yield all goals; the goals of the cold slices hold for every set."""
    ours = rate(OURS)
    yield Goal("HR@10", "ml-100k", 0.26, ours)
    yield Goal("× SASRec, retrained", "ml-100k", 1.4, ratio(ours, rate(SASREC)))
    yield Goal("HR@10", "ml-1m", 0.29, ours)
    yield Goal("× SASRec, retrained", "ml-1m", 1.3, ratio(ours, rate(SASREC)))
    yield Goal("× popularity", "films", 1.5, ratio(ours, rate(POPULARITY)))
    yield Goal("× best baseline", "films", 1.0, ratio(ours, best_baseline))
    yield Goal("× best baseline", "arts-office", 1.5, ratio(ours, best_baseline))
    for name in sets:
        text = ratio(rate(OURS, COLD_ITEMS), rate(NO_TEXT, COLD_ITEMS))
        yield Goal(f"{COLD_ITEMS}: × no text", name, 2.0, text)
        users = ratio(rate(OURS, COLD_USERS), rate(POPULARITY, COLD_USERS))
        yield Goal(f"{COLD_USERS}: × popularity", name, 1.3, users)


def page(results: dict[str, Any], method: str) -> str:
    """Make the page.

    Parameters
    ----------
    results
        The measured figures.
    method
        Text for the end of the page: how it was measured, and what was tried.
    """
    sets = results["sets"]
    parts = [
        "# Accuracy",
        "",
        f'`{COMMAND}` makes this page (`ARGS="--set ml-100k"` measures one set only).',
        "",
        "* Every list is made before its event is learned. The last half of each set is reported.",
        "* Rankers choose from the full catalogue. Ties and NaN count against the ranker.",
        "* Brackets hold 95 % intervals, from drawing users with replacement.",
        "* CPU seconds are those of the whole run of a ranker.",
        "",
        "Machine: " + ", ".join(f"{name} {value}" for name, value in results["machine"].items()) + ".",
        "",
        "## Goals",
        "",
        *goal_table(sets),
    ]
    for name, measured in sets.items():
        parts += ["", f"## {name}", "", sentence(measured), "", *ranker_table(measured["rankers"])]
        lost = list(ablation(measured["rankers"]))
        if lost:
            parts += [
                "",
                "Without a family of scorers the others learn without it. The difference shows what is lost:",
                "",
                *lost,
            ]
    return "\n".join([*parts, "", method])


def goal_table(sets: dict[str, Any]) -> list[str]:
    """Lines of the table of goals, one for each goal."""
    rows = []
    for goal in goals(sets):
        figure = goal.figure(sets[goal.set]["rankers"]) if goal.set in sets else None
        if figure is None:
            verdict = "not measured"
        else:
            verdict = (
                "met, by " if figure >= goal.least else "missed, by "
            ) + f"{figure / goal.least - 1:+.1%}"
        rows.append(
            [goal.set, goal.name, f"{goal.least:g}", "-" if figure is None else f"{figure:.3f}", verdict]
        )
    return table(["set", "what", "goal", "measured", ""], rows)


def sentence(measured: dict[str, Any]) -> str:
    """Describe a set, and how it was evaluated."""
    given, protocol = measured["input"], measured["protocol"]
    return (
        f"{given['events']:,} events of {given['users']:,} users and {given['items_taken']:,} items "
        f"({given['items_announced']:,} in the catalogue); {protocol['evaluated']:,} evaluated. "
        f"Afresh takes in {protocol['refresh']} events together; the baselines learn every event at once."
    )


def ranker_table(rankers: Rankers) -> list[str]:
    """Lines of the table of rankers, the best ranker first."""
    popular = rate(POPULARITY)(rankers)
    rows = []
    ranked = sorted(rankers.items(), key=lambda each: -each[1]["all"]["hr"]["mean"])
    for name, each in ranked:
        if name.startswith(WITHOUT):
            continue
        total = each["all"]
        low, high = total["hr"]["low"], total["hr"]["high"]
        rows.append(
            [
                name,
                f"{total['hr']['mean']:.4f} ({low:.4f}-{high:.4f})",
                f"{total['ndcg']['mean']:.4f} ({total['ndcg']['low']:.4f}-{total['ndcg']['high']:.4f})",
                f"{total['mrr']['mean']:.4f}",
                f"{total['hr']['mean'] / popular:.2f}" if popular else "-",
                *(_shown(rate(name, cold)(rankers)) for cold in (COLD_USERS, COLD_ITEMS)),
                _shown(each["variety"]["coverage"]),
                f"{each['seconds']:,.0f}",
                each["date"],
                each["commit"],
            ]
        )
    columns = [
        "",
        "HR@10",
        "NDCG@10",
        "MRR@10",
        "× popularity",
        COLD_USERS,
        COLD_ITEMS,
        "coverage",
        "CPU s",
        "measured",
        "commit",
    ]
    return table(columns, rows)


def ablation(rankers: Rankers) -> Iterator[str]:
    """Lines of the table that shows what is lost without each family of scorers."""
    whole = rate(OURS)(rankers)
    left = {name: rate(name)(rankers) for name in rankers if name.startswith(WITHOUT)}
    rows = [
        [name.removeprefix(WITHOUT), f"{each:.4f}", f"{each - whole:+.4f}"]
        for name, each in sorted(left.items(), key=lambda pair: pair[1] or 0.0)
        if each is not None and whole is not None
    ]
    if rows:
        yield from table(["without", "HR@10", "difference"], rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown.

    Examples
    --------
    >>> table(["a", "b"], [["1", "2"]])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    return [_row(columns), "|" + "---|" * len(columns), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
