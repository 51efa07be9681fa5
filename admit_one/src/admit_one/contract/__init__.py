"""What a contract package is made of: events, their envelope, who handles them. No Django."""
