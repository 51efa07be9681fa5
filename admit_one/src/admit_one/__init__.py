"""Reliable events between your own Django services."""
