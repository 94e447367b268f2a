"""The recipe: one YAML file that describes a run: its schema, its files, its error messages."""
