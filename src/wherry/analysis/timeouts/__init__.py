"""Timeouts that depend on each other: what is known of them, and the rules between them."""
