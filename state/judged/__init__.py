"""Verdicts on the lists, and what the guard concludes from them."""
