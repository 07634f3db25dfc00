from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Queue

import pytest
from redis import Redis

from afresh.deploy.demo.data import Accounts
from afresh.deploy.demo.judge import PlayerJudge
from afresh.deploy.demo.linker import Linker
from afresh.deploy.demo.lists import NOTHING, Entry, Lists, ReadList, Shop
from afresh.deploy.demo.notes import Notes
from afresh.deploy.demo.player import PATIENCE_SECONDS, ClosedLoop, Pace, catch_up, open_loop
from afresh.deploy.demo.progress import Progress
from afresh.deploy.demo.spotlight import Spotlight
from afresh.deploy.demo.window import Window, account
from afresh.deploy.servers import local_redis
from afresh.streams.messages import Event
from tests.deploy.demo.making import event, events

POPULAR = ReadList([Entry("popular")])


class FakeShop:
    """Holds the lists of users; the test sets them."""

    def __init__(self) -> None:
        self.lists: dict[str, ReadList] = {}

    def of_users(self, users: Sequence[str]) -> list[ReadList | None]:
        return [self.lists.get(user) for user in users]

    def popular(self, domain: str) -> ReadList:
        return POPULAR if domain == "films" else NOTHING


class Play:
    """A closed loop; the test sets its clock and its answers."""

    def __init__(
        self,
        script: list[Event],
        users: int = 64,
        speed: float | None = None,
        links: Mapping[str, Accounts] | None = None,
    ) -> None:
        self.now = 0.0
        self.shop = FakeShop()
        self.sent: list[str] = []
        catalogue = sorted({one.item for one in script} | {"popular"})
        self.notes = Notes(
            Progress(len(script), self.clock), PlayerJudge(catalogue, len(script)), Spotlight(self.clock)
        )
        self.window = Window(script, users)
        pace = Pace(speed, self.clock)
        linker = Linker(links or {}, self.shop, self.link, self.notes.links, self.clock)
        self.loop = ClosedLoop(self.window, self.shop, self.send, linker, self.notes, pace, self.clock)

    def clock(self) -> float:
        return self.now

    def send(self, one: Event) -> None:
        self.sent.append(one.id)

    def link(self, one: str, other: str) -> None:
        self.sent.append(f"{one} = {other}")

    def answer(self, one: Event, *items: str) -> None:
        self.shop.lists[account(one)] = ReadList([Entry(item) for item in items], one.id)

    def step(self, seconds: float = 0.0) -> list[str]:
        """Let time pass and make a step; return the events that it sent."""
        self.now += seconds
        before = len(self.sent)
        self.loop.step()
        return self.sent[before:]


def no_check() -> None:
    pass


def test_a_users_next_event_waits_for_the_answer_while_other_users_go_on() -> None:
    script = events("aabac")
    play = Play(script)
    assert play.step() == ["e0", "e2", "e4"]
    assert play.step(0.1) == []
    play.answer(script[0])
    assert play.step() == ["e1"]
    play.answer(script[1])
    assert play.step() == ["e3"]


def test_a_list_that_takes_in_an_older_event_is_no_answer() -> None:
    script = events("aaa")
    play = Play(script)
    play.answer(script[2])
    assert play.step() == ["e0"]
    assert play.step(0.1) == []


def test_no_more_users_than_the_limit_wait_at_the_same_time() -> None:
    script = events("abcd")
    play = Play(script, users=2)
    assert play.step() == ["e0", "e1"]
    play.answer(script[1])
    assert play.step() == ["e2"]


def test_an_event_without_an_answer_after_a_second_counts_as_late() -> None:
    play = Play(events("aa"))
    play.step()
    assert play.step(PATIENCE_SECONDS / 2) == []
    assert play.step(PATIENCE_SECONDS / 2) == ["e1"]
    assert (play.notes.progress.late, play.notes.progress.answered) == (1, 1)
    assert play.notes.progress.latencies() == (PATIENCE_SECONDS, PATIENCE_SECONDS)


def test_latency_runs_from_sending_to_the_first_look_that_sees_the_list() -> None:
    script = events("a")
    play = Play(script)
    play.step()
    play.step(0.25)
    play.answer(script[0])
    play.step(0.25)
    assert play.notes.progress.latencies() == (0.5, 0.5)
    assert play.window.exhausted


def test_each_event_is_judged_against_the_list_right_before_it() -> None:
    script = [event(0, "a", "x"), event(1, "a", "y"), event(2, "a", "z")]
    play = Play(script)
    play.step()
    play.answer(script[0], "x", "y")
    play.step()
    play.answer(script[1], "y")
    play.step()
    served, _ = play.notes.judge.over()
    assert served.hit_rate == pytest.approx(1 / 3)
    assert play.notes.spotlight.scene is not None
    assert play.notes.spotlight.scene.hits == 1


def test_accounts_are_linked_once_the_list_after_an_event_has_been_seen() -> None:
    script = [event(0, "a"), event(1, "b"), event(2, "b")]
    play = Play(script, links={"e1": ("web:a", "web:b")})
    assert play.step() == ["e0", "e1"]
    play.answer(script[0])
    assert play.step() == []
    play.answer(script[1])
    assert play.step() == ["web:a = web:b", "e2"]


def test_the_loop_goes_on_until_linked_accounts_have_the_same_list() -> None:
    script, looks = [event(0, "a")], 0
    play = Play(script, links={"e0": ("web:a", "web:b")})

    def meet() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            play.answer(script[0], "x")
        elif looks == 5:
            play.shop.lists["web:b"] = play.shop.lists["web:a"]

    play.loop.run(meet)
    assert looks == 6
    assert len(play.notes.links.seconds) == 1


def test_a_user_without_a_list_sees_the_popular_items_of_the_domain() -> None:
    play = Play([event(0, "new", "popular")])
    play.step()
    assert play.notes.judge.over()[0].hit_rate == 1.0


def test_the_speed_limits_how_many_events_are_sent() -> None:
    play = Play(events("abcdefgh"), speed=2.0)
    assert play.step() == ["e0"]
    assert play.step(0.4) == []
    assert play.step(0.1) == ["e1"]
    assert play.step(1.0) == ["e2", "e3"]


def test_the_open_loop_sends_everything_in_order_and_returns_each_users_last_event() -> None:
    script, sent = events("abacb"), list[str]()
    progress = Progress(5)
    last = open_loop(script, lambda one: sent.append(one.id), progress, Pace(None), no_check)
    assert sent == ["e0", "e1", "e2", "e3", "e4"]
    assert last == {"web:a": "e2", "web:b": "e4", "web:c": "e3"}
    assert (progress.sent, progress.answered) == (5, 0)


def test_catch_up_counts_the_users_who_stay_behind() -> None:
    shop = FakeShop()
    shop.lists = {"web:a": ReadList([], "e1"), "web:b": ReadList([], "e2")}
    assert catch_up({"web:a": "e1", "web:b": "e2"}, shop, 60.0, no_check) == 0
    assert catch_up({"web:a": "e1", "web:b": "e9", "web:c": "e3"}, shop, 0.0, no_check) == 2


class Recommender(threading.Thread):
    """Takes events from a queue and writes lists to Redis: first the item after the item just taken."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(daemon=True)
        self.queue: Queue[Event | None] = Queue()
        self._redis = redis

    def run(self) -> None:
        while (one := self.queue.get()) is not None:
            items = [{"id": f"{int(one.item) + 1}", "score": 1.0}, {"id": "elsewhere", "score": 0.5}]
            answer = {"user": account(one), "last_event": one.id, "items": items, "revision": 1}
            self._redis.set(f"shop:recommendations:{account(one)}", json.dumps(answer))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with local_redis(folder) as server, Redis.from_url(server.address) as client:
        yield client


@pytest.fixture
def recommender(redis: Redis) -> Iterator[Recommender]:
    redis.flushall()
    thread = Recommender(redis)
    thread.start()
    yield thread
    thread.queue.put(None)
    thread.join()


def play_on(shop: Shop, script: list[Event], send: Callable[[Event], None], users: int) -> Notes:
    catalogue = [str(number) for number in range(200)]
    notes = Notes(Progress(len(script)), PlayerJudge(catalogue, len(script)), Spotlight())
    linker = Linker({}, shop, lambda *_: None, notes.links)
    ClosedLoop(Window(script, users), shop, send, linker, notes, Pace(None)).run(no_check)
    return notes


@pytest.mark.servers
def test_a_recommender_that_knows_the_next_item_is_right_on_all_events_but_the_first(
    redis: Redis, recommender: Recommender
) -> None:
    script = [event(number, f"u{number % 4}", str(number // 4)) for number in range(400)]
    notes = play_on(Lists(redis, "shop"), script, recommender.queue.put, users=64)
    assert notes.progress.sent == notes.progress.answered == 400
    served, popular = notes.judge.over()
    on_time = 1.0 - 4 / 400
    assert on_time - notes.progress.late / 400 <= served.hit_rate <= on_time
    assert popular.hit_rate < served.hit_rate
