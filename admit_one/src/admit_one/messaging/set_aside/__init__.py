"""Messages that could not be handled: kept, tried again, replayed, closed."""
