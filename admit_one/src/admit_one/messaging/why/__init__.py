"""What happened to one thing, and why it takes so long."""
