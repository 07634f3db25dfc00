"""The fusion turns many scores into one. It learns the weights online, and tests watch them."""
