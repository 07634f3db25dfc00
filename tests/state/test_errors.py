import pytest

from afresh.state.errors import AfreshError, mendable


def test_an_error_of_the_models_becomes_an_afresh_error_and_keeps_its_cause() -> None:
    cause = ValueError("there is no encoder 'x'")
    with pytest.raises(AfreshError, match="there is no encoder 'x'") as raised, mendable(ValueError):
        raise cause
    assert raised.value.__cause__ is cause


def test_all_other_errors_are_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), mendable(ValueError):
        raise ZeroDivisionError
