"""Feeds events and items to Kafka."""
