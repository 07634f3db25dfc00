"""Sends events and items from files to Kafka."""
