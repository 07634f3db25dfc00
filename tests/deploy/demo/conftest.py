"""Excludes programs that tests run as processes: importing them for doctests would register their metrics."""

collect_ignore = ["fake_worker.py", "fake_demo.py"]
