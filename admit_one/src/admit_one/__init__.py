"""Events between your own Django services that you can trust."""
