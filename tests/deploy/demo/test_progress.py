import pytest

from afresh.deploy.demo.progress import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_runs_from_the_start_to_the_end() -> None:
    clock = Clock()
    progress = Progress(10, clock)
    assert (progress.seconds, progress.rate, progress.ended) == (0.0, 0.0, False)
    progress.start()
    clock.now += 2
    progress.sent = 6
    assert (progress.seconds, progress.rate) == (2.0, 3.0)
    progress.end()
    clock.now += 100
    assert (progress.seconds, progress.rate, progress.ended) == (2.0, 3.0, True)


def test_latencies_cover_all_answers_or_only_the_last() -> None:
    progress = Progress(200)
    assert progress.latencies() is None
    for number in range(101):
        progress.answer(number / 100, late=False)
    assert progress.latencies() == pytest.approx((0.5, 0.99))
    assert progress.latencies(last=1) == pytest.approx((1.0, 1.0))
    assert progress.latencies(last=1_000) == progress.latencies()


def test_an_event_given_up_is_late_and_counts_with_its_waiting_time() -> None:
    progress = Progress(2)
    progress.answer(0.5, late=False)
    progress.answer(10.0, late=True)
    assert (progress.answered, progress.late) == (2, 1)
    assert progress.latencies(last=1) == (10.0, 10.0)
