"""What is kept: rows of users and items, their tables, the Catalogue, identities, the lists in Redis."""
