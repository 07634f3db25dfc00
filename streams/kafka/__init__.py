"""Kafka: our changes to Faust and aiokafka, and our own clients.

The table in ``internals`` lists everything that we override or reach into, with the failure that it avoids.
"""
