"""Where everything flows: the topics as data, and the ways to them."""
