"""Approvals: what a challenged step waits for, who grants it, and that it is used once."""
