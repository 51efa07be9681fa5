"""Who uses the system meanwhile."""
