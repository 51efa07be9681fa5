"""A mailbox for development: accepts mails by SMTP, forwards none, and shows them on a page."""
