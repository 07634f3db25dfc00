"""Shows the settings to people: a table of the values in force, the reference page, and ``.env.example``."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.table import Table
from rich.text import Text

from afresh.streams.settings import Settings

PREFIX = "AFRESH_"


def masked(url: str) -> str:
    """Hide user name and password in a URL, wherever they stand in it.

    Examples
    --------
    >>> masked("redis://ann:s3cret@redis:6379/0?password=s3cret&db=1")
    'redis://***@redis:6379/0?password=***&db=1'
    """
    without_user = re.sub(r"//.*@", "//***@", url)
    return re.sub(r"([?&](?:sentinel_)?password=)[^&]*", r"\1***", without_user)


def settings_table(settings: Settings) -> Table:
    """Return a table of every setting with its value, default and meaning; secrets are masked."""
    table = Table(show_lines=True)
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("default", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for name, field in Settings.model_fields.items():
        shown = _shown(getattr(settings, name))
        style = "bold" if shown != _shown(field.default) else ""
        table.add_row(variable(name), Text(shown, style), Text(_shown(field.default)), Text(_meaning(field)))
    return table


def settings_markdown() -> str:
    """Return the reference page: every setting with its default and meaning, as a Markdown table."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        meaning = _meaning(field).replace("|", "\\|")
        lines.append(f"| `{variable(name)}` | `{_shown(field.default)}` | {meaning} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return the text of ``.env.example``: every setting, commented out, with its default."""
    head = "# Copy to .env and uncomment what you change; variables of the environment come first.\n"
    return head + "".join(_env_lines())


def variable(name: str) -> str:
    """Return the name of a setting's environment variable.

    Examples
    --------
    >>> variable("list_size")
    'AFRESH_LIST_SIZE'
    """
    return PREFIX + name.upper()


def _env_lines() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        meaning = textwrap.fill(_meaning(field), width=110, initial_indent="# ", subsequent_indent="# ")
        yield f"\n{meaning}\n#{variable(name)}={_shown(field.default)}\n"


def _meaning(field: FieldInfo) -> str:
    return field.description or ""


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return masked(secret) if "://" in secret else "***"
    if isinstance(value, dict):
        return json.dumps(value)
    # An address of a broker or model hub may contain a password.
    return masked(str(value)) if not isinstance(value, bool) else str(value).lower()
