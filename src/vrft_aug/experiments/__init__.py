"""Whole experiments: a run from recipe to report, the baselines it is compared with, the demo."""
