"""What rests in the database rests sealed: the cipher, the keys, and their rotation."""
