"""What we say to the database that the ORM cannot, and how we wait for one that is away."""
