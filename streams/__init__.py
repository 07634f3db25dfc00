"""What flows: one file an agent, in the order in which an event meets them."""
