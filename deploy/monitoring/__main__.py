"""``python -m afresh.deploy.monitoring`` writes the dashboards and the rules; with ``picture`` it draws a dashboard."""

from afresh.deploy.monitoring.command import main

if __name__ == "__main__":
    main()
