from __future__ import annotations

from afresh.models.arrays import NONE
from afresh.state.catalogue.alone import AloneCatalogue
from tests.streams.making import catalogue_of, count


def test_it_takes_in_what_its_own_model_derives() -> None:
    catalogue = catalogue_of("a", "b", "c")
    assert (catalogue.items().related == NONE).all()
    catalogue.derive()
    assert catalogue.model == 1
    assert (catalogue.items().related[:, 0] != NONE).all()


def test_nothing_is_derived_again_if_nothing_has_changed() -> None:
    catalogue = catalogue_of("a", "b")
    catalogue.derive()
    before = catalogue.version
    catalogue.derive()
    assert catalogue.version == before


def test_it_revises_what_stands() -> None:
    catalogue = catalogue_of("a", "b")
    catalogue.derive()
    count(catalogue, {"new": 2.0}, {"new": {"a": 9.0}})
    catalogue.revise()
    assert catalogue.model == 1
    assert catalogue.items().related[2, 0] == 0


def test_an_empty_catalogue_derives_an_empty_version() -> None:
    catalogue = AloneCatalogue()
    catalogue.derive()
    assert len(catalogue) == 0
