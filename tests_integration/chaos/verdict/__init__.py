"""The checker, and the evidence that it works from."""
