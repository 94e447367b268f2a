"""Perception-driven policy refinement: boxes, coordinate spaces, matching, localisation (paper: PA_pi)."""
