"""The pipeline under faults: ``python -m tests.chaos``, and a short schedule among the tests.

Genuine servers and the production processes (`pipeline`) run under a steady load with poison, duplicates and late
events (`load`). A schedule made from a seed (`schedule`) injects faults and heals them (`faults`). Meanwhile a watcher
looks for lists that give way to older ones (`watcher`). After each fault every worker must be ready again, and an
event in every partition must get its list (`trial`). At the end the workers finish the backlog, and ``afresh ledger``
audits everything.
"""
