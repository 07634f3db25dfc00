"""Rules of the code that no linter checks: reasons for exceptions, and a test for every module."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("models", "state", "streams", "deploy")
MODULES = sorted(path for package in PRODUCT for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

EXCEPTION = re.compile(r"#\s*(?:\w+:\s*)?noqa\b", re.IGNORECASE)
WITH_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w")
UNTYPED = re.compile(r"#\s*type:\s*ignore", re.IGNORECASE)
WITH_RULE = re.compile(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\]")

TESTED_ELSEWHERE = {
    # Tests of the commands run these modules.
    "deploy/demo/session.py": "deploy/demo/test_command.py",
    "deploy/evaluate/session.py": "deploy/evaluate/test_command.py",
    # They all have one interface, so one file tests them side by side.
    "deploy/evaluate/baselines/*.py": "deploy/evaluate/baselines/test_rankers.py",
    # A variant must behave the same alone and beside others; this needs the loop that runs them.
    "deploy/evaluate/variants.py": "deploy/evaluate/test_prequential.py",
    # Each checks one table of an audit. The tests plant errors in every table, and the audit must name them.
    "deploy/ledger/content.py": "deploy/ledger/test_auditing.py",
    "deploy/ledger/items.py": "deploy/ledger/test_auditing.py",
    "deploy/ledger/letters.py": "deploy/ledger/test_auditing.py",
    "deploy/ledger/folding.py": "deploy/ledger/test_auditing.py",
    # What they do together, over the logs of several partitions, is what counts.
    "state/rows/moving.py": "replay/test_people.py",
    "streams/stages/sent_on.py": "replay/test_people.py",
    # These are the cases for the scorers' contract; the tests of the contract use them.
    "models/scorers/cases.py": "models/scorers/test_contract.py",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment of a module; strings do not count."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def unexplained(path: Path) -> list[str]:
    """Find comments that switch off a rule without naming it, or without a reason."""
    return [
        f"{name_of(path)}:{line}: {text}"
        for line, text in comments(path)
        if (EXCEPTION.search(text) and not WITH_REASON.search(text))
        or (UNTYPED.search(text) and not WITH_RULE.search(text))
    ]


def test_every_exception_from_a_rule_names_the_rule_and_the_reason() -> None:
    found = [each for path in (*MODULES, *TESTS) for each in unexplained(path)]
    assert found == [], "write # noqa: RULE - why, or # type: ignore[rule]"


@pytest.mark.parametrize(
    ("comment", "fine"),
    [
        ("# noqa: A002 - as the base class names it", True),
        ("# noqa: SIM115, PTH123 - why", True),
        ("# noqa: A002", False),
        ("# noqa: A002 -", False),
        ("# noqa", False),
        ("#noqa:A002 - why", False),
        ("# ruff: noqa", False),
        ("# flake8: noqa: A002", False),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore[arg-type, misc]", True),
        ("# type: ignore", False),
        ("# type:ignore", False),
        ("# of what type it is, is to ignore", True),
    ],
)
def test_an_exception_without_its_rule_or_its_reason_is_found(
    comment: str, fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text(f'said = "# noqa"\nmade = 1  {comment}\n')
    assert (unexplained(module) == []) == fine


def has_code(path: Path) -> bool:
    """Whether a module has code that could be wrong: a function with more than a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(not _says_only(statement) for each in functions for statement in each.body)


def _says_only(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def mirrors(path: Path) -> list[Path]:
    """Return the possible places of a module's tests: its own file or folder, or the file of its package."""
    module = path.relative_to(ROOT)
    tests = ROOT / "tests" / module.parent
    name = tests.name if module.stem == "__init__" else module.stem
    own = tests.parent if module.stem == "__init__" else tests
    return [own / f"test_{name}.py", own / name, tests.parent / f"test_{tests.name}.py"]


def is_tested(path: Path) -> bool:
    listed = [tests for pattern, tests in TESTED_ELSEWHERE.items() if fnmatch(name_of(path), pattern)]
    return any(each.exists() for each in (*mirrors(path), *(ROOT / "tests" / each for each in listed)))


def test_every_module_with_code_has_a_test_that_mirrors_it() -> None:
    found = [name_of(path) for path in MODULES if has_code(path) and not is_tested(path)]
    assert found == [], "write tests/.../test_<module>.py, or list above where it is tested, and why there"


def test_the_modules_and_tests_listed_as_tested_elsewhere_exist() -> None:
    for pattern, tests in TESTED_ELSEWHERE.items():
        assert any(fnmatch(name_of(path), pattern) for path in MODULES), f"there is no {pattern}"
        assert (ROOT / "tests" / tests).is_file(), f"there is no tests/{tests}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"""What there is."""\nA = 1\n', False),
        ('class Wrong(Exception):\n    """It is wrong."""\n', False),
        ("class Shape(Protocol):\n    def size(self) -> int: ...\n", False),
        ("def one() -> int:\n    return 1\n", True),
        ("class One:\n    async def one(self) -> int:\n        return 1\n", True),
    ],
)
def test_only_functions_that_do_something_are_code(text: str, code: bool, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(text)
    assert has_code(module) == code


def test_no_two_classes_have_the_same_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for each in ast.walk(tree):
            if isinstance(each, ast.ClassDef):
                places[each.name].append(name_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}, "one word, one idea"
