"""Stages of training through TRL: SFT and GRPO, rewards, monitors, alarms, checkpoints.

The files of this folder are the stage itself, from its settings to its checkpoints. Around it:

- `rollouts/`: completions and what they earn
- `augmentations/`: settings that change what a stage learns from
- `monitoring/`: what watches it
- `pictures/`: pictures opened once and prepared ahead
- `processes/`: a stage among several processes
"""
