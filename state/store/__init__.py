"""Tables: keep rows in memory or on disk, with the marks of what the rows have taken in."""
