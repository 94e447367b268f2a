"""Clinical evaluation: generation, metrics, intervals."""
