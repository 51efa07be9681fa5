"""Answers the payment side's reconciliation: reports the codes, and restores those it has lost."""
