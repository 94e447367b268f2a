"""What asks a language model to write: knowledge banks and reasoning traces."""
