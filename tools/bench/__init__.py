"""What `make bench` measures, of Admit One and of what it is compared with."""
