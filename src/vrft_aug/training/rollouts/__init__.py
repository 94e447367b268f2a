"""Completions and what they earn: engines, rewards, groups that are drawn again."""
