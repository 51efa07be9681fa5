"""Runs the demo, the checks and the tests on machines with nothing on them: Debian roots."""
