"""Behavioural imitation: recitation of the injected knowledge (paper: R_recite, delta)."""
