"""Benchmarks: what afresh costs beside other frameworks at the same work (``python -m tests.benchmarks.bench``).

The work to compare (`job`) has four steps: receive an event (JSON), decode it, update the user's state and its
changelog, and send one record (JSON) with the item as its key. Each contender is a process of its own. All contenders
use the same genuine Kafka and get the same backlog (`events`). They are measured from outside (`measure`): by the CPU
time of the process from the first tenth of its records to the last. So the start of a process is not counted.
"""
