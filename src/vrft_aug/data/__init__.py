"""Readers: from files on disk to Cases."""
