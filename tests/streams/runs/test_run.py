from tests.streams.making import GENERATION, record, run_of


def test_a_run_has_the_partition_of_its_records_and_is_acknowledged_when_done() -> None:
    run, event = run_of(*(record(b"1", topic="test.items", partition=3, offset=each) for each in (7, 9)))
    assert (run.topic, run.partition, [each.offset for each in run.records]) == ("test.items", 3, [7, 9])
    assert (run.generation, event.acks) == (GENERATION, 0)
    run.done()
    assert event.acks == 1
