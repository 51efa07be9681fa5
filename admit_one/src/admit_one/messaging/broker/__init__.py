"""The broker itself: connections, topology, and whether all is as it should be."""
