"""Stages of training through TRL: SFT and GRPO, rewards, monitors, alarms, checkpoints."""
