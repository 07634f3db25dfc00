from __future__ import annotations

import gzip
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from afresh.deploy.datasets import sets
from afresh.deploy.datasets.sets import SetLines
from afresh.state.errors import AfreshError
from tests.benchmarks import quality, quality_report
from tests.benchmarks.quality import FAMILIES, Job, jobs, keep, measure
from tests.benchmarks.quality_report import NO_TEXT, WITHOUT, page
from tests.deploy.evaluate.making import catalogue, lines, shop


@pytest.fixture(autouse=True)
def _shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFRESH_ENCODER", "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sets.SETS, "ml-100k", lambda: SetLines(lines(shop(200)), lines(catalogue())))


def measured(*together: tuple[str, ...]) -> dict[str, Any]:
    results: dict[str, Any] = {"machine": {"cpu": "2 × test"}}
    for rankers in together:
        job = Job("ml-100k", rankers)
        keep(results, job, measure(job))
    return results


def test_the_page_has_a_row_for_every_ranker_and_every_goal() -> None:
    kinds = next(family for family in FAMILIES if "own" in family)
    results = measured(("afresh", f"{WITHOUT}{kinds}"), (NO_TEXT,), ("popularity",))
    text = page(results, "## Method")
    rates = {name: each["all"]["hr"]["mean"] for name, each in results["sets"]["ml-100k"]["rankers"].items()}
    assert f"| afresh | {rates['afresh']:.4f} (" in text
    assert f"| popularity | {rates['popularity']:.4f} (" in text
    left = rates[f"{WITHOUT}{kinds}"]
    assert f"| {kinds} | {left:.4f} | {left - rates['afresh']:+.4f} |" in text
    assert f"| ml-100k | HR@10 | 0.26 | {rates['afresh']:.3f} | " in text
    assert "| ml-1m | HR@10 | 0.29 | - | not measured |" in text
    assert "200 events of 20 users" in text
    assert text.endswith("## Method")


def test_a_goal_is_met_if_the_figure_reaches_it() -> None:
    def ranker(hit_rate: float) -> dict[str, Any]:
        return {"all": {"hr": {"mean": hit_rate}}, "slices": {"cold": {}}}

    sets = {"films": {"rankers": {"afresh": ranker(0.3), "popularity": ranker(0.1), "isgd": ranker(0.4)}}}
    rows = quality_report.goal_table(sets)
    assert "| films | × popularity | 1.5 | 3.000 | met, by +100.0% |" in rows
    assert "| films | × best baseline | 1 | 0.750 | missed, by -25.0% |" in rows


def test_measuring_one_ranker_again_keeps_the_others() -> None:
    results = measured(("popularity",), ("item_knn",))
    before = results["sets"]["ml-100k"]["rankers"]["item_knn"]
    job = Job("ml-100k", ("popularity",))
    keep(results, job, measure(job))
    assert list(results["sets"]["ml-100k"]["rankers"]) == ["popularity", "item_knn"]
    assert results["sets"]["ml-100k"]["rankers"]["item_knn"] is before


def test_every_ranker_is_measured_on_a_set_and_on_one_set_afresh_without_each_family() -> None:
    everyone = {"afresh", NO_TEXT, *quality.BASELINES}
    assert {job.rankers for job in jobs(["films"], [])} == {(ranker,) for ranker in everyone}
    without = tuple(f"{WITHOUT}{family}" for family in FAMILIES)
    assert jobs(["ml-100k"], [])[0] == Job("ml-100k", ("afresh", *without))
    assert jobs(["films", "ml-1m"], ["sasrec"]) == [Job("films", ("sasrec",)), Job("ml-1m", ("sasrec",))]
    assert jobs(["ml-100k"], [without[0]]) == [Job("ml-100k", (without[0],))]


def test_an_unknown_ranker_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        quality.main(["--only", "guessing", "--results", str(tmp_path)])
    assert "no ranker is called guessing" in capsys.readouterr().err


class Here(Executor):
    """Executor that calls functions at once, in this process."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Call the function at once."""
        done: Future[Any] = Future()
        try:
            done.set_result(function(*given, **named))
        except AfreshError as error:
            done.set_exception(error)
        return done


def test_if_a_ranker_fails_the_figures_of_the_others_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure_all_but_one(job: Job) -> dict[str, Any]:
        if "item_knn" in job.rankers:
            raise AfreshError("out of memory")
        return measure(job)

    monkeypatch.setattr(quality, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(quality, "measure", measure_all_but_one)
    chosen = [part for name in ("item_knn", "popularity") for part in ("--only", name)]
    with pytest.raises(AfreshError, match=r"not measured: ml-100k, item_knn \(out of memory\)"):
        quality.main(["--set", "ml-100k", "--results", str(tmp_path), *chosen])
    packed = (tmp_path / quality.FIGURES).read_bytes()
    results = quality.unpack(packed)
    assert list(results["sets"]["ml-100k"]["rankers"]) == ["popularity"]
    assert (tmp_path / quality.PAGE).read_text() == page(results, quality.METHOD.read_text())
    assert quality.pack(results) == packed


def test_the_committed_page_shows_the_committed_figures() -> None:
    results = quality.unpack((quality.RESULTS / quality.FIGURES).read_bytes())
    assert (quality.RESULTS / quality.PAGE).read_text() == page(results, quality.METHOD.read_text())


def test_the_committed_figures_have_the_bytes_that_packing_gives() -> None:
    packed = (quality.RESULTS / quality.FIGURES).read_bytes()
    assert gzip.decompress(quality.pack(quality.unpack(packed))) == gzip.decompress(packed)
