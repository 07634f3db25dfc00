"""What follows from all items together: which belong together, which follow which, whose votes are believed."""
