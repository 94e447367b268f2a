"""Small models that are made here: the embedded one, its weights and its card, and the photo base."""
