"""The row of each table, and the functions by which interactions, examples and items change it."""
