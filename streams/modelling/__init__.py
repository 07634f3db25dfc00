"""Who makes the model, when, and how workers are told."""
