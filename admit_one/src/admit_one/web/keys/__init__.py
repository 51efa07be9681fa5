"""API keys: who calls, and what each key may do."""
