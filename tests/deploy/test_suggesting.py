from __future__ import annotations

import logging
import re

import pytest

from afresh.deploy.suggest import Suggested
from afresh.deploy.suggesting import Suggesting, keep_suggesting
from afresh.state.errors import AfreshError, UnavailableError
from afresh.streams.settings import Settings
from tests.streams.making import read_page

SETTINGS = Settings(_env_file=None, suggest_metrics_port=0)


class Runs:
    """Gives what it was told to, run by run, and lets a clock go on by ten seconds for each."""

    def __init__(self, *outcomes: Suggested | Exception) -> None:
        self.now = 100.0
        self._outcomes = list(outcomes)

    def __call__(self, settings: Settings) -> Suggested:
        self.now += 10.0
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def clock(self) -> float:
        return self.now


def test_a_run_that_goes_well_makes_the_process_ready_and_its_age_begins_anew() -> None:
    runs = Runs(Suggested(6_040, 12, 3, 1))
    suggesting = Suggesting(SETTINGS, runs, runs.clock)
    assert suggesting.not_ready() == "no run has ended yet"
    suggesting.turn()
    assert (suggesting.not_ready(), suggesting.age()) == ("", 0.0)
    runs.now += 5.0
    assert suggesting.age() == 5.0


def test_while_kafka_does_not_answer_the_process_goes_on_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = Runs(Suggested(1, 1, 1, 0), UnavailableError("Kafka is away"), Suggested(1, 1, 0, 0))
    suggesting = Suggesting(SETTINGS, runs, runs.clock)
    suggesting.turn()
    with caplog.at_level(logging.WARNING):
        suggesting.turn()
    assert caplog.messages == ["Nothing was suggested; the next run tries again: Kafka is away"]
    assert suggesting.not_ready() == "the last run failed: Kafka is away"
    assert suggesting.age() == 10.0
    suggesting.turn()
    assert (suggesting.not_ready(), suggesting.age()) == ("", 0.0)


def test_what_a_person_must_mend_ends_the_process() -> None:
    suggesting = Suggesting(SETTINGS, Runs(AfreshError("a topic is missing")))
    with pytest.raises(AfreshError, match="a topic is missing"):
        suggesting.turn()


def test_between_two_runs_the_page_shows_what_the_last_one_did(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(Suggested(6_040, 12, 3, 1), Suggested(6_041, 13, 1, 0), AfreshError("enough"))
    shown: list[tuple[float, str | None, tuple[int, str]]] = []

    def wait(seconds: float) -> None:
        (port,) = [found[1] for text in caplog.messages if (found := re.search(r":(\d+)/metrics", text))]
        links = re.search(r"^afresh_suggested_links (\S+)", read_page(int(port), "/metrics")[1], re.M)
        shown.append((seconds, links and links[1], read_page(int(port), "/ready")))

    with caplog.at_level(logging.INFO), pytest.raises(AfreshError, match="enough"):
        keep_suggesting(SETTINGS, 60.0, runs, wait)
    ready = 200, "ready\n"
    assert shown == [(60.0, "12.0", ready), (60.0, "13.0", ready)]
