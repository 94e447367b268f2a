"""The model: loading, generation, lengths, prefix sharing, and models behind a server."""
