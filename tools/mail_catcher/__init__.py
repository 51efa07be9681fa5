"""A mailbox for development: takes every mail by SMTP, sends none on, shows them on a page."""
