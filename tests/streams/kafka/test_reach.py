from afresh.streams.kafka.reach import Reach, of


def test_an_entry_names_all_that_it_reaches_into() -> None:
    reach = Reach("here", "why", "test", of("a.B", c="(self)"), of("a.B", d="int"), of("a.B", e="str"))
    assert reach.names == {"a.B.c": "(self)", "a.B.d": "int", "a.B.e": "str"}
