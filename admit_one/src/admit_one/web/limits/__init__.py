"""How often each key and each address may call, counted by all processes together."""
