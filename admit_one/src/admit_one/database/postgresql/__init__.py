"""Django's backend for PostgreSQL, with sessions set up as our guarantees need them."""
