"""The embedded tiny model: its architecture, how it is built, its weights and its card."""
