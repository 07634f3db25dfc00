"""From user rows to lists in Redis, and what is learned from how they were received."""
