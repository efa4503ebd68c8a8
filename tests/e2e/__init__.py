"""The end-to-end tests: they share the sites that are started once, and ended with the last of them."""
