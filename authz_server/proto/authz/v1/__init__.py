"""Version 1 of the protos."""
