from afresh.state.identities import Identities
from afresh.state.moments import Moment


def test_a_user_without_a_link_is_named_by_platform_and_user() -> None:
    assert Identities().resolve("tv", "ann:2 🎬") == "tv:ann:2 🎬"


def test_users_of_two_platforms_can_be_one() -> None:
    identities = Identities()
    identities.apply("web:ann", "person-7", Moment(1, 0, 0))
    identities.apply("tv:4711", "person-7", Moment(1, 0, 0))
    assert identities.resolve("web", "ann") == identities.resolve("tv", "4711") == "person-7"
    assert identities.resolve("tv", "ann") == "tv:ann"
    assert len(identities) == 2


def test_the_newest_link_counts_and_can_be_ended() -> None:
    identities = Identities()
    identities.apply("web:ann", "person-7", Moment(1, 0, 0))
    identities.apply("web:ann", "person-8", Moment(1, 0, 0))
    assert identities.resolve("web", "ann") == "person-8"
    identities.apply("web:ann", None, Moment(1, 0, 0))
    identities.apply("web:never linked", None, Moment(1, 0, 0))
    assert identities.resolve("web", "ann") == "web:ann"
