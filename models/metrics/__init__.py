"""Measures of lists: accuracy with confidence intervals, coverage, diversity and novelty."""
