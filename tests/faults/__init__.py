"""The fault tests: they share what is started once, and ended with the last of them."""
