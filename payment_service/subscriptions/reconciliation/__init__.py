"""Both sides are compared by events only, page by page, and what differs is repaired."""
