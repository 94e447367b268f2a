"""Pictures on their way into a stage: opened once, prepared ahead, once per prompt."""
