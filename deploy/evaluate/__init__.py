"""Evaluation in one process, without Kafka: the functions that the agents call, over a log of events, in its order."""
