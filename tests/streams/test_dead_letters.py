from afresh.streams.checks import RefusedError
from afresh.streams.dead_letters import KEPT_BYTES, dead_letter
from afresh.streams.topics import DEAD_LETTER_BYTES
from tests.streams.making import packed_size, record


def test_a_dead_letter_fits_its_topic_even_if_the_record_grows_when_unpacked() -> None:
    value = bytes(range(256)) * 40_000
    letter = dead_letter(record(value, key=value), RefusedError("too_large", "large" * 1000))
    assert letter.key == letter.value == value[:KEPT_BYTES]
    headers = [(name.encode(), each) for name, each in letter.headers]
    size = packed_size([(letter.key or b"", letter.value), *headers])
    assert size < DEAD_LETTER_BYTES * 0.99
