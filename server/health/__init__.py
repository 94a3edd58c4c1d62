"""How the node is: its numbers, what is wrong with it, since when, and what a person can do about it."""
