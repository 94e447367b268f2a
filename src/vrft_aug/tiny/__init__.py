"""The embedded tiny model and the procedural images it was made from."""
