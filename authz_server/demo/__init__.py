"""The demonstration: a real Envoy, a real Valkey, a benign agent and an intruder."""
