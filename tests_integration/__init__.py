"""The whole system from outside: it imports neither service and speaks HTTP, broker and mail."""
