"""The run folder: what lies in it, how it starts, and the lines that training writes into it."""
