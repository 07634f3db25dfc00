"""What lists are worth: accuracy with its intervals, and coverage, diversity, novelty."""
