from __future__ import annotations

from afresh.deploy.demo.spotlight import QUIET_SECONDS, STAY_SECONDS, Spotlight
from tests.deploy.demo.making import event


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def watched(spotlight: Spotlight) -> str | None:
    return spotlight.scene.user if spotlight.scene else None


def test_it_stays_with_a_user_while_others_act() -> None:
    clock = Clock()
    spotlight = Spotlight(clock)
    spotlight.saw(event(1, "ann", "x"), ["x", "y"], 1)
    spotlight.saw(event(2, "bob", "y"), ["y"], 1)
    clock.now += 1.0
    spotlight.saw(event(3, "ann", "z"), ["y"], 0)
    assert spotlight.scene is not None
    assert (spotlight.scene.user, spotlight.scene.items, spotlight.scene.taken) == ("web:ann", ("y",), "z")
    assert (spotlight.scene.events, spotlight.scene.hits) == (2, 1)


def test_it_leaves_a_user_who_is_quiet() -> None:
    clock = Clock()
    spotlight = Spotlight(clock)
    spotlight.saw(event(1, "ann"), [], 0)
    clock.now += QUIET_SECONDS
    spotlight.saw(event(2, "bob"), [], 0)
    assert watched(spotlight) == "web:bob"


def test_after_a_while_it_leaves_even_an_active_user() -> None:
    clock = Clock()
    spotlight = Spotlight(clock)
    for number in range(int(STAY_SECONDS) + 1):
        spotlight.saw(event(number, "ann"), [], 0)
        clock.now += 1.0
    spotlight.saw(event(99, "bob"), [], 0)
    assert watched(spotlight) == "web:bob"
    assert spotlight.scene is not None
    assert spotlight.scene.events == 1


def test_only_ten_items_are_shown() -> None:
    spotlight = Spotlight(Clock())
    spotlight.saw(event(1, "ann"), [str(number) for number in range(20)], 0)
    assert spotlight.scene is not None
    assert len(spotlight.scene.items) == 10
