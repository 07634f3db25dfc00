"""The processes: what they are put together from, their pages and their logs."""
