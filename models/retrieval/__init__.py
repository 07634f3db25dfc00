"""Which items a list is chosen from: what is asked, and the candidates."""
