"""Where policy bytes come from, and the hot reload of them."""
