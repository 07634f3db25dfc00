"""The Catalogue: the rows of all items as arrays, and what is derived from them."""
