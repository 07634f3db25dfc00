"""The encoder that the settings of a deployment ask for."""

from __future__ import annotations

from collections.abc import Sequence

from kafka import OffsetAndMetadata, TopicPartition

from afresh.models.encoder import Encoder, NotInstalled, Options, load, require
from afresh.state.errors import AfreshError, mendable
from afresh.streams.kafka.patient import PatientAdmin
from afresh.streams.settings import NO_ENCODER, Settings
from afresh.streams.topics import Topics


def require_encoder(settings: Settings) -> None:
    """Check that the packages of the configured encoder are installed, without loading the encoder.

    Raises
    ------
    AfreshError
        When a package is missing.
    """
    if settings.encoder == NO_ENCODER:
        return
    try:
        require(settings.encoder)
    except NotInstalled as error:
        raise AfreshError(f"{error}, or set AFRESH_ENCODER={NO_ENCODER}") from error


def load_encoder(settings: Settings) -> Encoder:
    """Load the encoder that the settings name.

    Raises
    ------
    AfreshError
        When the settings name none, or it cannot be loaded.
    """
    if settings.encoder == NO_ENCODER:
        raise AfreshError(
            "AFRESH_ENCODER is 'none': there is nothing for an embed worker to do; name an encoder."
        )
    require_encoder(settings)
    with mendable(ValueError):
        return load(settings.encoder, options_of(settings))


def options_of(settings: Settings) -> Options:
    """Return how the settings want the encoder to run."""
    return Options(
        settings.encoder_device,
        settings.encoder_dtype,
        settings.encoder_dimension,
        settings.encoder_max_tokens,
        settings.encoder_batch_tokens,
        settings.encoder_threads,
    )


def embed_group(settings: Settings) -> str:
    """Return the consumer group of all embed workers."""
    return f"{settings.namespace}-embed-texts"


def take_over(settings: Settings, version: str) -> bool:
    """Let the group of all embed workers go on where that of one encoder had stopped, as each had one until 0.1.0.

    Otherwise all texts would be encoded once more. Returns whether there was something to take over.
    """
    topic, ours = Topics(settings).texts, embed_group(settings)
    before = f"{settings.namespace}-embed-{version}"
    places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    admin = PatientAdmin(settings)
    try:
        # One after the other: brokers before Kafka 3.0 take only one group at a time.
        old, new = (_committed(admin, group, places) for group in (before, ours))
        if new or not old:
            return False
        offsets = {place: OffsetAndMetadata(each.offset, each.metadata, -1) for place, each in old.items()}
        admin.ask(lambda client: client.alter_group_offsets(ours, offsets))
    finally:
        admin.close()
    return True


def _committed(
    admin: PatientAdmin, group: str, places: Sequence[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    found = admin.ask(lambda client: client.list_group_offsets({group: list(places)})).get(group, {})
    return {place: each for place, each in found.items() if each.offset >= 0}
