"""What afresh costs, beside others at the same work: ``python -m tests.benchmarks.bench``.

The work to compare (`job`): receive an event (JSON) → decode → the user's state with a changelog → one
record out (JSON), keyed by item. Each contender is a process of its own over the same genuine Kafka, fed with
the same backlog (`events`) and measured from outside (`measure`): CPU time of the process between the first
tenth of its records and the last, so that starting up costs nobody anything.
"""
