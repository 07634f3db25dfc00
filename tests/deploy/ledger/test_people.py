from afresh.deploy.ledger.people import check_people, people_of
from afresh.deploy.ledger.report import Report
from afresh.state.people import Pair, People, Tie
from afresh.state.rows import users
from afresh.state.rows.users import UserRow
from afresh.streams.kafka.sender import OutgoingRecord
from afresh.streams.messages import KeyedRecord, encode, keyed_key
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics
from tests.deploy.ledger.making import MemoryLogs
from tests.replay.memory import Log

LINKED = People()
LINKED.put(Pair("app:7", "web:ann"), Tie("login", 1.0, 1))


def found(**rows: UserRow) -> list[str]:
    named = {name.replace("_", ":").encode(): users.pack(row) for name, row in rows.items()}
    report = Report()
    check_people(LINKED, {0: {b"": b"", **named}}, report)
    return report.differences


def test_an_account_whose_row_leads_to_its_canonical_user_is_right() -> None:
    assert found(web_ann=UserRow(to="app:7"), app_7=UserRow(accounts=("web:ann",)), tv_1=UserRow()) == []


def test_accounts_in_a_wrong_row_or_unknown_to_the_right_one_are_named() -> None:
    assert found(web_ann=UserRow(), app_7=UserRow()) == [
        "people: what account 'web:ann' does goes to the row of 'web:ann', but is 'app:7''s"
    ]
    assert found(web_ann=UserRow(to="app:7"), app_7=UserRow()) == [
        "people: the row of 'app:7' does not know its account 'web:ann'"
    ]
    assert len(found(tv_1=UserRow(to="tv:2"), tv_2=UserRow(to="tv:1"))) == 3
    right = {"web_ann": UserRow(to="app:7"), "app_7": UserRow(accounts=("web:ann",))}
    assert found(**right, tv_1=UserRow(accounts=("", "web:ann"))) == [
        "people: the row of 'tv:1' holds the account 'web:ann', which is 'app:7''s"
    ]


def test_links_are_read_from_their_topic_and_what_is_none_is_left_out() -> None:
    log, topics = Log(), Topics(Settings(_env_file=None))
    for number, (key, value) in enumerate([(b"web:ann", b"person-7"), (b"nonsense", b"x")]):
        keyed = encode(KeyedRecord(0, number, 5, 0, value))
        log.append(topics.identities_keyed.name, FIRST_PARTITION, OutgoingRecord(keyed_key(0, key), keyed))
    people = people_of(MemoryLogs(log), topics, Report())
    assert people.person("web:ann").canonical == "person-7"
    assert people.linked() == {"web:ann", "person-7"}
