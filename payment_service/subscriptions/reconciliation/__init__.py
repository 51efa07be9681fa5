"""Both sides are compared, and what differs is repaired."""
