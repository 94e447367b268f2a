"""Metrics and their intervals, from parsed answers alone, never from shaped rewards."""
