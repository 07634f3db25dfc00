"""All state: rows of users and items, their tables, the Catalogue, identities, and the lists in Redis."""
