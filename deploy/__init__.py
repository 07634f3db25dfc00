"""Runs the recommender: the command line, local servers, feeds and the demo."""
