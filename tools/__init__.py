"""What starts, shows, tests and measures the whole system on one machine."""
