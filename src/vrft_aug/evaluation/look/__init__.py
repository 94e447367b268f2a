"""Whether a model looks: what it answers to blank, exchanged, blurred and masked pictures."""
