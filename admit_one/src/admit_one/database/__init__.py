"""Statements that the ORM cannot express, what a session must be like, and waiting out outages."""
