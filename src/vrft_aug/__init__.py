"""VRFT-Aug: visual reinforcement fine-tuning for medical images, with four augmentations over GRPO."""

__version__ = "0.1.0"
