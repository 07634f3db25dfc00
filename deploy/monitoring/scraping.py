"""Settings of a Prometheus that scrapes workers and reads the rules beside them."""

from __future__ import annotations

from collections.abc import Mapping

WORKER, EMBED_WORKER, MODEL_WORKER, SUGGEST = "afresh", "afresh-embed", "afresh-model", "afresh-suggest"
"""Names of the jobs; dashboards and alerts look for those that begin with the first."""


def scraping(targets: Mapping[str, str], seconds: int, left_out: Mapping[str, str] | None = None) -> str:
    """Make the file of settings.

    Parameters
    ----------
    targets
        Address of each page, by the name of its job.
    seconds
        Time between two scrapes, and between two looks at the rules.
    left_out
        Jobs that are written as comments: not every deployment has such processes, and one that is missing raises an
        alert.

    Returns
    -------
    YAML.
    """
    jobs = "".join(_job(*each) for each in targets.items())
    comments = "".join(_job(*each, indent="  # ") for each in (left_out or {}).items())
    return (
        f"global:\n  scrape_interval: {seconds}s\n  evaluation_interval: {seconds}s\n"
        f"rule_files:\n  - rules.yml\nscrape_configs:\n{jobs}{comments}"
    )


def _job(name: str, address: str, indent: str = "  ") -> str:
    lines = f"- job_name: {name}", "  static_configs:", f'    - targets: ["{address}"]'
    return "".join(f"{indent}{line}\n" for line in lines)
