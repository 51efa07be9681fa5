"""Questions, answers and codes as JSON, in and out."""
