from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.sent import SentOnwards
from afresh.state.records import SENT_ON, Way


def sent(*values: bytes) -> tuple[SentOnwards, list[Way]]:
    made = SentOnwards()
    made.begin(1, 5)
    ways = [made.way(9) for _ in values]
    for way, value in zip(ways, values, strict=True):
        made.send(way, value)
    return made, ways


def differences(made: SentOnwards, known: tuple[int, ...] = (1,)) -> list[str]:
    report = Report()
    made.check(known, report)
    return report.differences


def test_each_record_that_is_sent_on_has_a_place_of_its_own() -> None:
    _, ways = sent(b"a", b"b")
    assert ways == [Way(1, 5 * SENT_ON, 9), Way(1, 5 * SENT_ON + 1, 9)]


def test_what_arrives_once_or_again_as_it_was_sent_is_right() -> None:
    made, (way,) = sent(b"a")
    assert [made.arrived(way, b"a"), made.arrived(way, b"a")] == [True, False]
    assert differences(made) == []


def test_what_is_lost_changed_or_surplus_is_named() -> None:
    made, ways = sent(b"a", b"b")
    made.arrived(ways[0], b"other")
    made.arrived(Way(1, 7 * SENT_ON, 9), b"c")
    assert sorted(differences(made)) == [
        "sent on: something says that it was made from 1@7",
        "sent on: what was made from 1@5 has not arrived",
        "sent on: what was made from 1@5 is not what was sent",
    ]


def test_a_row_that_an_earlier_version_began_may_differ_and_unknown_partitions_are_left_out() -> None:
    made, (way,) = sent(b"a")
    made.arrived(way, b"other", exact=False)
    assert differences(made) == []
    assert differences(sent(b"a")[0], known=(0,)) == []
