"""The audit: reads Kafka and Redis, and nothing else, and reports everything that is wrong.

The audit shares no code with the bookkeeping of the agents (marks, windows, changes), because a fault in shared code
would hide itself. It finds repeated records with plain sets of ids, and of partitions and offsets. It does share the
layouts of records and rows, and the functions that fold a record into a row. These know nothing of counting.
"""

from __future__ import annotations

from contextlib import ExitStack

from threadpoolctl import threadpool_limits

from afresh.deploy.clients import redis_client
from afresh.deploy.feeds.lines import open_lines
from afresh.deploy.ledger.against import State, check_against
from afresh.deploy.ledger.comparing import compare, leave_unchecked, page_fields
from afresh.deploy.ledger.content import check_content
from afresh.deploy.ledger.events import Account, Outcomes, ToldUsers, noted_since
from afresh.deploy.ledger.inputs import check_inputs
from afresh.deploy.ledger.items import check_items
from afresh.deploy.ledger.letters import check_letters
from afresh.deploy.ledger.lines import check_lines
from afresh.deploy.ledger.lists import catalogue_of, check_lists, check_popular, encoder_of
from afresh.deploy.ledger.people import check_people, people_of
from afresh.deploy.ledger.reading import (
    Logs,
    earlier_incarnations,
    kafka_logs,
    made_from_what_is_gone,
    newest,
)
from afresh.deploy.ledger.report import Report
from afresh.deploy.ledger.served import ListsInRedis, read_served
from afresh.deploy.ledger.settling import wait_until_settled
from afresh.deploy.ledger.users import check_users
from afresh.deploy.ledger.weights import check_weights
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.rights import needs
from afresh.streams.serving.policy import Policy
from afresh.streams.settings import Settings
from afresh.streams.topics import FIRST_PARTITION, Topics


def audit(
    settings: Settings, *, events: str | None = None, against: str | None = None, wait_seconds: float = 0.0
) -> Report:
    """Audit a deployment.

    Parameters
    ----------
    settings
        The deployment.
    events
        File of the events that were fed, as JSON lines, gzipped or not. Kafka must hold each of them.
    against
        Namespace of another run over the same events, on the same brokers.
    wait_seconds
        Longest time to wait until the backlog is done and nothing changes any more.

    Raises
    ------
    AfreshError
        If Kafka does not answer, if a topic is missing or differs from the settings, or if its beginning is gone.
    redis.RedisError
        If Redis does not answer.
    OSError
        If the file cannot be read.
    """
    require_topics(settings, rights=needs(read=Topics(settings).all()))
    report = Report()
    with ExitStack() as stack:
        redis = stack.enter_context(redis_client(settings))
        if wait_seconds:
            wait_until_settled(settings, redis, wait_seconds, report)
        logs = stack.enter_context(kafka_logs(settings))
        outcomes: Outcomes = {}
        state = judge(settings, logs, read_served(redis, settings.namespace), report, outcomes)
        if events is not None:
            check_lines(stack.enter_context(open_lines(events)), outcomes, report)
        if against is not None:
            other = settings.model_copy(update={"namespace": against})
            require_topics(other, rights=needs(read=Topics(other).all()))
            check_against(stack.enter_context(kafka_logs(other)), Topics(other), state, report)
    report.tell_the_rest()
    return report


def judge(settings: Settings, logs: Logs, served: ListsInRedis, report: Report, outcomes: Outcomes) -> State:
    """Check topics and lists that come from Kafka and Redis, or from a test's memory; with one thread for the maths.

    Parameters
    ----------
    settings
        The deployment.
    logs
        Its topics.
    served
        Its lists.
    report
        Gets the counts and differences.
    outcomes
        Gets what became of the events, by id.

    Returns
    -------
    The newest rows of the changelogs.
    """
    # As in the workers. More threads would group sums differently, and the last bits would differ.
    with threadpool_limits(1):
        return _judge(settings, logs, served, report, outcomes)


def _judge(settings: Settings, logs: Logs, served: ListsInRedis, report: Report, outcomes: Outcomes) -> State:
    topics = Topics(settings)
    windows = {number: newest(logs.records(topics.received, number)) for number in range(settings.partitions)}
    earlier = earlier_incarnations(windows.values(), logs, topics.events)
    incarnation = logs.incarnation(topics.events)
    since = {number: noted_since(window, incarnation) for number, window in windows.items()}
    account = Account(report, ToldUsers(logs, topics), outcomes, incarnation, earlier, since=since)
    account.read(logs, topics, settings)
    for partition, received in account.received.items():
        window = windows[partition]
        if made_from_what_is_gone(window, logs, topics.events):
            leave_unchecked(report, "received", window)
        else:
            compare(report, "received", "page", received.rows(), window, page_fields)
    users = check_users(logs, topics, account, report)
    check_people(people_of(logs, topics, report), users.found, report)
    behaviour = check_items(logs, topics, users, report)
    inputs = check_inputs(logs, topics, settings, account.refused, report)
    content = check_content(logs, topics, settings, inputs["items"], report)
    check_letters(logs, topics, account.refused, report)
    weights = newest(logs.records(topics.weights, FIRST_PARTITION))
    counts = {} if made_from_what_is_gone(weights, logs, topics.judged) else users.counts
    learned = check_weights(weights, counts, report)
    catalogue = catalogue_of(behaviour, content, encoder_of(logs, topics), settings.item_vectors)
    check_lists(catalogue, users.found, learned, served, settings.list_size, Policy.of(settings), report)
    check_popular(catalogue, learned, served, settings.list_size, report)
    return State(users.found, behaviour)
