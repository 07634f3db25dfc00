"""The state does not depend on how records travel."""

import subprocess
import sys

import pytest

TRAVEL = ("aiokafka", "faust", "kafka", "mode")

IMPORT_ALL = f"""
import importlib, pkgutil, sys
import afresh.state
found = [each.name for each in pkgutil.walk_packages(afresh.state.__path__, "afresh.state.")]
assert len(found) > 10, found
for name in found:
    importlib.import_module(name)
print(sorted(set({TRAVEL!r}) & set(sys.modules)))
"""


def test_importing_all_of_state_imports_neither_faust_nor_kafka() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", TRAVEL)
def test_the_packages_that_must_not_be_imported_exist_under_these_names(name: str) -> None:
    assert __import__(name).__name__ == name
