"""The doors over HTTP: task tokens by OAuth 2.0, decisions and approvals by AuthZEN, and what is published about both."""
