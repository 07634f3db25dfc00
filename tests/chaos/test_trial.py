from afresh.state.errors import MEND_STATUS, START_AGAIN_STATUS
from tests.chaos.faults import FAULTS, possible
from tests.chaos.pipeline import End
from tests.chaos.trial import Outcome, Report, wrong

AGAIN, MEND, CRASHED = End("worker", START_AGAIN_STATUS), End("worker", MEND_STATUS), End("worker", 1)


def test_a_process_may_only_end_with_a_status_that_asks_to_be_started_again() -> None:
    for fault in FAULTS.values():
        found = wrong([AGAIN, MEND, CRASHED], fault.may_end_with)
        assert found == ([CRASHED] if fault.name == "disk-full" else [MEND, CRASHED])


def test_without_a_fault_no_process_may_end() -> None:
    assert wrong([AGAIN]) == [AGAIN]


def test_the_report_counts_every_fault_and_ends_with_the_verdict() -> None:
    outcomes = [Outcome(("quorum-lost", "burst"), 1.0, 2.0), Outcome(("quorum-lost",), 1.0, 2.0)]
    lines = Report(1, outcomes, ends=[AGAIN, AGAIN]).summary().splitlines()
    assert [line.split() for line in lines if line.startswith("  ")] == [
        ["burst", "1"],
        ["quorum-lost", "2"],
        ["worker", "with", "status", "75,", "2", "times"],
    ]
    assert lines[-1].startswith("clean")
    assert Report(1, failures=["a worker ended"]).summary().endswith("  a worker ended\nnot clean")


def test_faults_of_model_workers_need_model_workers() -> None:
    for brokers in (1, 3):
        found = set(possible(brokers, model=True)) - set(possible(brokers))
        assert found == {name for name, fault in FAULTS.items() if fault.place == "model-workers"}


def test_some_faults_need_one_broker_and_others_three() -> None:
    alone, cluster = set(possible(1)), set(possible(3))
    assert alone - cluster == {"broker-down", "broker-killed", "redis-down", "redis-killed", "redis-replaced"}
    assert {"quorum-lost", "rolling-restart", "redis-failover"} < cluster - alone
