"""Containment that survives: signed records, the feed that carries them, and those who write and read it."""
