"""The student side of reconciliation: it reports what it has, and takes back what it has lost.

digests    pages of codes, each as a digest, to be compared
grants     everything about the codes that differ
restoring  codes that only the payment side still knows
"""
