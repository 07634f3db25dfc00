"""The pipeline under faults: ``python -m tests.chaos``, and a short schedule among the tests.

Genuine servers and the production processes (`pipeline`) run under a steady load that holds poison, duplicates and
late events (`load`). A schedule made from a seed (`schedule`) injects faults and heals them (`faults`), while a
watcher looks for lists that go back (`watcher`). After each fault every worker must be ready again and an event in
every partition answered (`trial`). At the end the backlog is worked off and everything is counted by ``afresh ledger``.
"""
