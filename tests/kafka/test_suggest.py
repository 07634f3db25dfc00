"""Workers fold what people with two accounts do; most of them are suggested, and nobody is merged by that."""

from __future__ import annotations

from pathlib import Path

import msgspec

from afresh.deploy.people import link, read_people
from afresh.deploy.suggest import suggest_links
from afresh.streams.settings import Settings
from tests.kafka.deployment import Deployment, accepted, deployment, told_to_stop, wait
from tests.models.identity.crowds import people

PEOPLE, DOUBLED = 150, 60
LATER = 946_684_800
"""Seconds that are added to the times of people, so that they are after 1990."""


def feed(made: Deployment) -> int:
    """Send what people did; return the number of events."""
    sent = 0
    for each in people(PEOPLE, DOUBLED, 1):
        user = each.account.partition(":")[2]
        for item, when, value in zip(each.items, each.times, each.values, strict=True):
            event = made.next_event(user, f"i{item}") | {
                "platform": each.platform,
                "time": 1000 * (int(when) + LATER),
                "type": "rating",
                "value": float(value),
            }
            made.producer.send(made.topics.events.name, msgspec.json.encode(event), each.account.encode())
            sent += 1
    made.producer.flush()
    return sent


def suggested(made: Deployment) -> dict[bytes, float]:
    """Return what is suggested, after one more run."""
    done = suggest_links(made.settings)
    held: dict[bytes, float] = {}
    for record in made.records(made.topics.identities_suggested):
        held.pop(record.key, None)
        if record.value is not None:
            held[record.key] = msgspec.json.decode(record.value)["confidence"]
    assert done.links == len(held)
    return held


def is_right(key: bytes) -> bool:
    first, second = (name.partition(":")[2] for name in msgspec.json.decode(key))
    return bool(first == second)


def is_apart(settings: Settings, key: bytes) -> bool:
    """Whether two accounts are not one person."""
    first, second = msgspec.json.decode(key)
    return second not in read_people(settings).person(first).accounts


def test_most_people_with_two_accounts_are_suggested_and_nobody_is_merged(
    settings: Settings, tmp_path: Path
) -> None:
    with deployment(settings, tmp_path) as made:
        with made.running(made.process()) as page:
            sent = feed(made)
            wait(lambda: accepted(page) == sent, "all events to be accepted")
            wait(lambda: page.read().total("afresh_lag_records") == 0, "all events to be folded")
            found = suggested(made)
            right = sum(map(is_right, found))
            assert right >= DOUBLED / 2
            assert right >= 0.9 * len(found)
            assert all(is_apart(settings, key) for key in found)
            records = len(made.records(made.topics.identities_suggested))
            assert suggested(made) == found
            assert len(made.records(made.topics.identities_suggested)) == records
            told = max(found, key=lambda key: found[key])
            first, second = msgspec.json.decode(told)
            link(settings, first, second, "login", 1.0)
            wait(lambda: not is_apart(settings, told), "the link to be taken in")
        left = suggested(made)
        assert told not in left
        often = made.process("suggest", "--every", "60")
        with made.running(often) as page:
            assert page.read().total("afresh_suggested_links") == len(left)
            assert told_to_stop(often) == 0
