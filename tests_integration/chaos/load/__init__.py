"""The clients and third parties that use the system during a run."""
