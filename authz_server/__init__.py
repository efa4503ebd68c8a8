"""authz-server: an external authorization server for Envoy and Istio that interrupts intrusion chains inline."""

__version__ = "0.1.0"
