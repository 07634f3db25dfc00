"""Tables: where rows are kept, in memory or on disk, with the marks of what they have taken in."""
