"""Which accounts may belong to one person, though no link says so."""
