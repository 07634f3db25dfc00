"""Evaluation in one process, without Kafka: it runs the functions of the agents over a log of events, in order."""
