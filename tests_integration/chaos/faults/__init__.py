"""The faults, and the plan that says when each happens."""
