"""Dashboards and alerts, from one source: the files in ``deploy/grafana`` and ``deploy/prometheus`` are made here.

``python -m afresh.deploy.monitoring`` writes them anew. A test compares the files with what it would write, and lets a
real Prometheus evaluate every expression.
"""
