"""The broker itself: connections, topology, and diagnosis."""
