"""What proxies and operators tell the server beside the decisions: for now, how the steps that it allowed ended."""
