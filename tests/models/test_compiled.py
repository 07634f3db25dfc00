import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.models import compiled
from afresh.models.compiled import exp2, folder, log2, power, rows_of

positive = st.floats(2.0**-100, 2.0**100, width=32)


@given(positive)
def test_the_logarithm_is_right_to_the_last_bits(x: float) -> None:
    assert float(log2(np.float32(x))) == pytest.approx(np.log2(x), rel=1e-6, abs=1e-6)


@given(st.floats(-120, 120, width=32))
def test_the_power_of_two_is_right_to_the_last_bits(x: float) -> None:
    assert float(exp2(np.float32(x))) == pytest.approx(2.0**x, rel=1e-6)


@pytest.mark.parametrize(("x", "expected"), [(-1e30, 2.0**-126), (1e30, 2.0**127)])
def test_the_power_of_two_stays_finite(x: float, expected: float) -> None:
    assert float(exp2(np.float32(x))) == expected


@given(positive, st.floats(0.0625, 4, width=32))
def test_a_power_is_right_to_a_few_last_bits(x: float, exponent: float) -> None:
    expected = min(max(x**exponent, 2.0**-126), 2.0**127)
    assert float(power(np.float32(x), np.float32(exponent))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("x", [0.0, -1.0, 1e-40, float("nan")])
def test_a_power_of_what_is_not_positive_is_0(x: float) -> None:
    assert float(power(np.float32(x), np.float32(0.6))) == 0


def test_rows_are_returned_in_the_order_asked_for() -> None:
    table = np.arange(12, dtype=np.int8).reshape(4, 3)
    assert rows_of(table, np.array([2, 0, 2], np.int32)).tolist() == table[[2, 0, 2]].tolist()


def test_machine_code_is_kept_by_the_sources_that_it_was_compiled_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    sources = tmp_path / "models"
    sources.mkdir()
    monkeypatch.setattr(compiled, "__file__", str(sources / "compiled.py"))
    found = []
    for text in ("one", "other", "one"):
        (sources / "text.py").write_text(text)
        found.append(folder())
    assert found[0] == found[2] != found[1]
    assert found[0].parent == tmp_path


def test_where_nothing_can_be_kept_each_process_compiles_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    code = "from afresh.models import compiled; import numpy as np; print(compiled.log2(np.float32(8)))"
    variables = os.environ | {"NUMBA_CACHE_DIR": str(file / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "3.0", done.stderr
