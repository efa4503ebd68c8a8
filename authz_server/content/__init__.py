"""What a body says, strictly parsed."""
