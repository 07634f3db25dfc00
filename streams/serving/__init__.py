"""Serving: makes lists from user rows, pushes them to Redis, and learns from what users take."""
