"""From scores to a list: which item comes first, how alike the items are, and which places new items get."""
