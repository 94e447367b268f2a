"""What looks before anything is trained: check, prompt, score; no weights are loaded for it."""
