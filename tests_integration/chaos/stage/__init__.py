"""The system under test, with its servers and its patched processes."""
