"""Proofs of possession that requests present: verified, bound to the caller, and good once."""
