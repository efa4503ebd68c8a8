"""Task tokens: what they say, who may show them, how they are handed on, and the proofs of possession beside them."""
