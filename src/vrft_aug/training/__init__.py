"""Stages of training: SFT and GRPO through TRL."""
