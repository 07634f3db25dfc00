"""What one event teaches: how it changes the counts and the neighbours of an item."""
