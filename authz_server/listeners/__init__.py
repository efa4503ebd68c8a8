"""The doors that Envoy knocks on: bytes in, bytes out, health, drain."""
