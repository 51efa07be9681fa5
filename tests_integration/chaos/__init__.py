"""Chaos testing: load, faults drawn from a seed, and a checker that trusts neither service.

Read `run` first, then `faults`, then `verdict`.
"""
