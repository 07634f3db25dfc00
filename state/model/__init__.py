"""The model: what follows from all item rows together, made once for all workers."""
