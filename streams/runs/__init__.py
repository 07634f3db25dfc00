"""Runs: how every agent takes records in, and in which order it writes its effects."""
