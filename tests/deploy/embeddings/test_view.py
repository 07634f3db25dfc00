import io

from rich.console import Console

from afresh.deploy.embeddings.collect import Embedded
from afresh.deploy.embeddings.view import show
from afresh.state.encoders import Named, Plan

OLD, NEW, GONE = Named("minilm", "1"), Named("universal", "2"), Named("minilm", "0")


def shown(found: Embedded) -> list[str]:
    console = Console(width=150, record=True, file=io.StringIO())
    for each in show(found):
        console.print(each)
    return console.export_text().splitlines()


def line(lines: list[str], version: str) -> str:
    return next(each for each in lines if f" {version} " in each)


def test_each_version_has_its_share_and_what_lists_do_with_it() -> None:
    plan = Plan([NEW, OLD], threshold=0.9)
    lines = shown(Embedded(plan, "1", 1000, {OLD: 1000, NEW: 400, GONE: 3}, 12, 50.0))
    assert "400 of 1,000" in line(lines, "2")
    assert "40.0 %" in line(lines, "2")
    assert "change over at 90 %" in line(lines, "2")
    assert "are made from it" in line(lines, "1")
    assert "not wanted any more" in line(lines, "0")
    assert "12 texts wait; 50.0 were encoded in a second, lately" in lines
    assert "the newest encoder has read all texts in some 12 s" in lines


def test_a_version_that_somebody_asked_for_and_one_to_go_back_to_are_told_apart() -> None:
    lines = shown(Embedded(Plan([NEW, OLD], use="1"), "2", 10, {OLD: 10, NEW: 10}, 0, 0.0))
    assert "change over soon" in line(lines, "1")
    lines = shown(Embedded(Plan([NEW, OLD]), "2", 10, {OLD: 10, NEW: 10}, 0, 0.0))
    assert "can go back" in line(lines, "1")


def test_without_an_embed_worker_it_says_what_to_start() -> None:
    assert "no encoder is wanted yet: start afresh embed-worker" in shown(Embedded(None, "", 0, {}, 0, 0.0))
