"""What `make bench` measures, of the product and of the yardsticks alike."""
