"""The readers, one file a format: from files as people have them to Cases."""
