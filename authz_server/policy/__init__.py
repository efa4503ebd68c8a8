"""The policy language: text to one immutable snapshot, and the evaluation of its rules for one step."""
