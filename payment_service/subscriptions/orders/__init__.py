"""Orders: many subscriptions recorded by one request, all or none. `completion` completes them."""
