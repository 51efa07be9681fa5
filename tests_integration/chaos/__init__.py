"""Chaos: load on all doors, faults by a seeded plan, and a checker that believes nobody.

Read it from `__main__` to `run`, then `plan` and `faults`, then `checker`.
"""
