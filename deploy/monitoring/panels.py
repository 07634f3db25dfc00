"""Dashboards as data: what each shows, in rows of panels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A line of a panel, or several with labels.

    Attributes
    ----------
    expression
        In PromQL; ``$__rate_interval`` is Grafana's window for rates.
    legend
        Name of the line; ``{{label}}`` stands for the value of a label.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes
    ----------
    title
        What it shows.
    unit
        Grafana's name of the unit.
    queries
        Its lines.
    tells
        What a reader should see in it.
    below_zero
        Whether its values may be negative; else it begins at 0.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    tells: str
    below_zero: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes
    ----------
    name
        Name of its file, and its identity in Grafana.
    title
        Its title.
    panels
        Its panels, three to a row.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]


def quantile(share: float, metric: str, by: str = "") -> str:
    """Return the expression of a quantile of a histogram.

    Examples
    --------
    >>> quantile(0.5, "x_seconds", "stage")
    'histogram_quantile(0.5, sum by (le, stage) (rate(x_seconds_bucket[$__rate_interval])))'
    """
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def rate(metric: str, by: str = "") -> str:
    """Return the expression of how fast a counter grows, by some labels; 0 where it has never counted.

    Examples
    --------
    >>> rate("x_total")
    'sum(rate(x_total[$__rate_interval])) or on() vector(0)'
    """
    grouped = f" by ({by}) " if by else ""
    return or_zero(f"sum{grouped}(rate({metric}[$__rate_interval]))", by)


def or_zero(expression: str, by: str = "") -> str:
    """Return an expression that is 0 where nothing has been measured yet; its labels are ``none`` then.

    Examples
    --------
    >>> or_zero("max(x)")
    'max(x) or on() vector(0)'
    >>> or_zero("max by (stage) (x)", "stage")
    'max by (stage) (x) or on() label_replace(vector(0), "stage", "none", "", "")'
    """
    zero = "vector(0)"
    for label in by.split(", ") if by else ():
        zero = f'label_replace({zero}, "{label}", "none", "", "")'
    # Without on(), the zero would stand beside the lines that there are: it has other labels.
    return f"{expression} or on() {zero}"
