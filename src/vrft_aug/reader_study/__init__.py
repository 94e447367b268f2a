"""Reader studies: what clinicians are shown in which order, what they answered, and what it amounts to."""
