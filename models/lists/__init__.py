"""From scores to a list: who comes first, how alike its items are, and which places go to new ones."""
