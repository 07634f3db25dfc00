"""What is done to Faust and aiokafka, and how Kafka is asked.

``internals`` has all that we override or reach into in one table, with what would go wrong otherwise.
"""
