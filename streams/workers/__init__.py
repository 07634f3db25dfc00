"""The processes: their assembly, their pages and their logs."""
