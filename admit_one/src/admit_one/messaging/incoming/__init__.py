"""From the broker into the inbox and on to the handlers."""
