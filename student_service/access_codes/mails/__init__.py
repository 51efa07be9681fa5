"""Mails: written as rows, sent by a worker, and finished.

kinds              the kinds of mails: what each says, and when it is withdrawn
access_code_mail   the code's own mail, and the same code again
expiring_soon_mail until when the code works
writing            writes a mail as a row (`MailIntent`), in the transaction of its code
withholding        which mails of tests are not sent
again              writes another mail with the same code
sending            the loop of a worker: claim, attempt, finish
composing          turns a letter into the bytes for the server
smtp               a session with the mail server, for many mails
dialogue           commands and their replies, strictly one for one
login              AUTH, without a secret in any error
lease              the lease on a mail, renewed while its worker waits
attempt            the outcome of one attempt
refusals           what the refusals of mail servers mean, as a table
finishing          updates the row after an attempt
outage             growing pauses while the mail server is unavailable or refuses us
by_hand            the decisions of operators
"""
