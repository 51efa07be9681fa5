"""What the payment service and the student service have agreed on, and nothing else."""
