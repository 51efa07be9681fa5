"""The audit record: what a person did, when, why, and with what result.

Every package that lets a person act writes here, and this package imports none of them.
"""
