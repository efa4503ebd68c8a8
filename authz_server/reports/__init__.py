"""What a policy says about itself, for people and tools: plain values out of a parsed policy, printed elsewhere."""
