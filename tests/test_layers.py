"""Packages import only the packages below them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = "afresh"
PACKAGES = ("models", "state", "streams", "deploy", "tests")
LINES = 500

ALLOWED = {
    "models": {"models"},
    "state": {"models", "state"},
    "streams": {"models", "state", "streams"},
    "deploy": {"models", "state", "streams", "deploy"},
    "tests": set(PACKAGES),
}

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the name of a module without ``afresh``: ``models.fusion.guard``; a package has its folder's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of everything that a module imports, anywhere in the module and in any way."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError("imports are absolute")
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[first, *_]):
                yield literal(first)


def literal(name: ast.expr) -> str:
    """Return the literal beginning of a name that the code composes when it runs."""
    match name:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return literal(first)
        case _:
            return ""


def ours(path: Path) -> set[str]:
    """Return our modules that a module imports."""
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    bare = {name for name in names if name.partition(".")[0] in PACKAGES and not name.startswith("tests")}
    assert not bare, (
        f"{path.relative_to(ROOT)}: write {OURS}.{min(bare)}; the bare name may be another's package"
    )
    within = {name.removeprefix(f"{OURS}.") for name in names if name.startswith((f"{OURS}.", "tests."))}
    return {name if name in NAMES else name.rpartition(".")[0] for name in within}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_packages_below_it(package: str) -> None:
    modules = [path for path in MODULES if path.is_relative_to(ROOT / package)]
    assert modules
    for path in modules:
        packages = {name.partition(".")[0] for name in ours(path)}
        assert packages <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {packages - ALLOWED[package]}"


def test_imports_by_import_module_are_found() -> None:
    tree = ast.parse(
        'importlib.import_module(f"tests.benchmarks.{name}"); import_module("a.b"); m.import_module("c")'
    )
    assert list(imported(tree)) == ["tests.benchmarks.", "c"]


def test_no_module_has_more_than_500_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES
    }
    assert {name: length for name, length in lengths.items() if length > LINES} == {}
