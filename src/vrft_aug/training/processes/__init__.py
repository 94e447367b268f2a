"""A stage among several processes: how they start, who holds what, how they stop."""
