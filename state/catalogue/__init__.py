"""The Catalogue: the rows of all items as arrays, and what follows from them."""
