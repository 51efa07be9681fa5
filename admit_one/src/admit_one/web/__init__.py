"""A Django app: what every HTTP answer of ours has in common. It knows nothing of messages."""
