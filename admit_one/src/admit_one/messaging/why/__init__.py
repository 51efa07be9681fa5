"""What happened to one subject, and what it is waiting for."""
