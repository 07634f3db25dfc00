"""The player: sends events as people do. They look at their list, take something, and look again.

Closed loop: the player sends a user's next event once Redis holds the list that takes in their previous one, or
after one second. Open loop: it sends everything as fast as Kafka accepts it, and judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from afresh.deploy.demo.linker import Linker
from afresh.deploy.demo.lists import Shop
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.window import Window, account
from afresh.streams.messages import Event

PATIENCE_SECONDS = 1.0
POLL_SECONDS = 0.004
"""Time between two looks at Redis. Shorter takes CPU from the workers: latencies then rise instead of falling."""

CATCH_UP_POLL_SECONDS = 0.1

Clock = Callable[[], float]
Send = Callable[[Event], None]


class Pace:
    """Limits how many events may have been sent by now.

    Parameters
    ----------
    speed
        Events a second; ``None`` for no limit.
    """

    def __init__(self, speed: float | None, clock: Clock = time.perf_counter) -> None:
        self._speed = speed
        self._clock = clock
        self._started: float | None = None

    def allows(self, sent: int) -> bool:
        """Whether one more event may follow ``sent`` events; the first may go at once."""
        if self._speed is None:
            return True
        now = self._clock()
        self._started = now if self._started is None else self._started
        return sent <= (now - self._started) * self._speed


class ClosedLoop:
    """Sends each event once its user has seen the effect of their previous one, and judges the list they saw.

    Parameters
    ----------
    window
        The events, in the order in which they may go.
    shop
        Gives the lists.
    send
        Sends an event to Kafka.
    linker
        Links accounts.
    notes
        Where the player notes how the demo goes.
    pace
        How fast events may go.
    clock
        Monotonic clock, in seconds.
    """

    def __init__(
        self,
        window: Window,
        shop: Shop,
        send: Send,
        linker: Linker,
        notes: Notes,
        pace: Pace,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._window = window
        self._shop = shop
        self._send = send
        self._linker = linker
        self._judge, self._progress, self._spotlight = notes.judge, notes.progress, notes.spotlight
        self._pace = pace
        self._clock = clock
        self._unanswered: dict[str, tuple[str, float]] = {}

    def run(self, check: Callable[[], None]) -> None:
        """Play to the end. ``check`` is called at every step; it raises if the demo cannot go on."""
        self._progress.start()
        while not self._window.exhausted or self._linker.waits:
            self.step()
            check()
            time.sleep(POLL_SECONDS)
        self._progress.end()

    def step(self) -> None:
        """Look for new lists of waiting users, then send the events that may go."""
        self._look()
        self._linker.look()
        self._act()

    def _look(self) -> None:
        users = list(self._unanswered)
        found = self._shop.of_users(users)
        now = self._clock()
        for user, served in zip(users, found, strict=True):
            event, sent = self._unanswered[user]
            answered = served is not None and served.last_event == event
            if answered or now - sent >= PATIENCE_SECONDS:
                self._progress.answer(now - sent, late=not answered)
                del self._unanswered[user]
                self._window.release(user)
                self._linker.answered(event)

    def _act(self) -> None:
        events = list(self._due())
        lists = self._shop.of_users([account(event) for event in events])
        for event, served in zip(events, lists, strict=True):
            items = (served or self._shop.popular(event.domain)).ids
            place = self._judge.judge(account(event), event.item, items)
            self._spotlight.saw(event, items, place)
            self._unanswered[account(event)] = (event.id, self._clock())
            self._send(event)

    def _due(self) -> Iterator[Event]:
        while self._pace.allows(self._progress.sent) and (event := self._window.next()) is not None:
            self._progress.sent += 1
            yield event


def open_loop(
    events: Iterable[Event], send: Send, progress: Progress, pace: Pace, check: Callable[[], None]
) -> dict[str, str]:
    """Send everything without waiting for new lists. ``check`` is called again and again; it raises to end the loop.

    Returns
    -------
    dict
        Id of the last event of each canonical user.
    """
    last: dict[str, str] = {}
    for event in events:
        check()
        while not pace.allows(progress.sent):
            check()
            time.sleep(POLL_SECONDS)
        send(event)
        progress.sent += 1
        last[account(event)] = event.id
    return last


def catch_up(last: dict[str, str], shop: Shop, patience: float, check: Callable[[], None]) -> int:
    """Wait until every user's list takes in their last event, for ``patience`` seconds at most.

    Returns
    -------
    int
        Number of users whose list was still behind at the end.
    """
    behind, deadline = dict(last), time.monotonic() + patience
    while behind:
        for user, served in zip(list(behind), shop.of_users(list(behind)), strict=True):
            if served is not None and served.last_event == behind[user]:
                del behind[user]
        if time.monotonic() >= deadline:
            break
        check()
        time.sleep(CATCH_UP_POLL_SECONDS)
    return len(behind)
