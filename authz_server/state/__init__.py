"""What is remembered between steps: signals and containment, in this process or in Redis and Valkey."""
