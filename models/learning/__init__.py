"""What one event teaches: how it moves the counts and the neighbours of an item."""
