"""The loop of every stage: runs of records in, effects out in their order."""
