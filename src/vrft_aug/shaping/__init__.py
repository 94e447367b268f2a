"""Medically informed reward shaping: format, label, fuzzy grades (paper: R_MFRS)."""
