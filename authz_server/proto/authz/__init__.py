"""The package `authz` of the protos."""
