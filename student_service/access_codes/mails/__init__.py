"""Mails with codes: written down, sent once, and settled."""
