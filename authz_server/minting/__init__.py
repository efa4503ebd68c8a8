"""Just-in-time credentials: what an allowed step carries to its destination, so that the caller never holds it."""
