"""A task with its cases, prompts, frames and targets, ready to train on or to judge."""
