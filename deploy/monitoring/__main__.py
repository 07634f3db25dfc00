"""``python -m afresh.deploy.monitoring`` writes the dashboards and the rules."""

from afresh.deploy.monitoring.files import main

if __name__ == "__main__":
    main()
