"""The tasks that are open: who opened them, for whom, until when, and how they ended."""
