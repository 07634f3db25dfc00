"""Programs that tests run as processes of their own: importing them for doctests would register their metrics."""

collect_ignore = ["fake_worker.py", "fake_demo.py"]
