"""Runs: how every agent takes records in, and the order in which it gives effects out."""
