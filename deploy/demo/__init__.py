"""``afresh demo``: real servers, real events, and a player that judges what an application would have seen.

The player reads lists from Redis and sends events to Kafka, as any application does. Nothing here imports the
models, so its figures are independent of the models.
"""
