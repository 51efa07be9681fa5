"""Compares both sides page by page, through events only, and repairs what differs."""
