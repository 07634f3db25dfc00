"""Chooses the candidates of a list from the user's history and from what is known about the items."""
