"""The contract between the payment service and the student service."""
