"""Text encoders: turn texts into unit vectors, by a model that a setting names."""

from afresh.models.encoder.base import Encoder
from afresh.models.encoder.loading import load, version_of
from afresh.models.encoder.options import Options
from afresh.models.encoder.packages import PACKAGED, NotInstalled, require

__all__ = ["PACKAGED", "Encoder", "NotInstalled", "Options", "load", "require", "version_of"]
