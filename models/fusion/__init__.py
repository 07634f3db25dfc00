"""Many scores into one: the weights, learned online, and the tests that watch them."""
