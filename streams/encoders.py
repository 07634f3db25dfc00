"""The encoder that the settings of a deployment ask for."""

from __future__ import annotations

from afresh.models.encoder import Encoder, NotInstalled, Options, load, require
from afresh.state.errors import AfreshError, mendable
from afresh.streams.settings import NO_ENCODER, Settings


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
