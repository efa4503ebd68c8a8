"""Envoy's wire: CheckRequest bytes to `Request`, `Verdict` to CheckResponse bytes. The only home of protobuf."""
