import asyncio
from contextlib import suppress

from afresh.models.arrays import NONE
from afresh.state.catalogue.catalogue import Catalogue
from afresh.streams.workers.deriving import Deriver
from tests.streams.making import catalogue_of, describe


async def test_changed_rows_are_derived_and_reach_the_lists() -> None:
    catalogue = catalogue_of("a", "b", "c")
    before = catalogue.version
    assert await Deriver(catalogue).turn() > 0
    assert (catalogue.items().related[:, 0] != NONE).all()
    assert catalogue.version > before
    assert not catalogue.is_outdated()


async def test_nothing_is_derived_if_nothing_has_changed() -> None:
    catalogue = Catalogue()
    assert await Deriver(catalogue).turn() == 0
    assert catalogue.version == 0


async def test_it_goes_on_forever() -> None:
    catalogue = catalogue_of("a", "b")
    running = asyncio.create_task(Deriver(catalogue).run())
    for item in ("c", "d"):
        describe(catalogue, item)
        while catalogue.is_outdated():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert len(catalogue.items().heads[0]) == 4
