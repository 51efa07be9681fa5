"""Messages that could not be handled: kept, retried, replayed, closed."""
