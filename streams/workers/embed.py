"""The embed worker: the process that runs the text encoder, where a GPU is."""

from __future__ import annotations

from afresh.streams.encoders import require_encoder, take_over
from afresh.streams.kafka.admin import require_topics
from afresh.streams.kafka.safety import require_room
from afresh.streams.settings import Settings
from afresh.streams.stages.embed import Embed, rights_of
from afresh.streams.topics import Topics
from afresh.streams.workers import logs
from afresh.streams.workers.loops import use_uvloop
from afresh.streams.workers.process import execute


def run(settings: Settings) -> None:
    """Run an embed worker until it is told to stop (SIGTERM, SIGINT).

    Raises
    ------
    AfreshError
        When Kafka, its topics, the encoder or the metrics port are not as they must be.
    SystemExit
        At the end, with the exit status of the process.
    """
    use_uvloop()
    # Checked before the wait for Kafka, so that missing packages are reported at once.
    require_encoder(settings)
    topics = Topics(settings)
    require_topics(settings, rights=rights_of(topics))
    logs.set_up(settings)
    embed = Embed(settings, require_room(settings, [topics.embeddings, topics.answers]))
    take_over(settings, embed.readers.own.version)
    execute(embed.app, settings, settings.embed_metrics_port, embed.not_ready)
