"""Statements that the ORM cannot express, and how we wait for a database that is away."""
