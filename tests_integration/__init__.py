"""Tests of the whole system from outside, through HTTP, broker and mail; they import no service."""
