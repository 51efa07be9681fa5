"""Mails: written as rows, sent by a worker, and finished.

kinds              the kinds of mails: what each tells, and when it is withdrawn
access_code_mail   the mails with a code
expiring_soon_mail until when the code works
wording            what a mail says: subject, text and HTML, in the user's language
templates          finds and renders the templates: a shop's own before ours
brand              whose mails they are: name, links, where answers go
writing            writes a mail as a row (`MailIntent`), in the transaction of its code
withholding        which mails of tests are not sent
again              writes another mail with the same code
sending            the loop of a worker: claim, hand over, finish
results            keeps what ended until it is written, and claims the next in that transaction
claims             claims several mails, and finishes those that must not be sent
connections        how many connections there may be now, and which are free
connection         one connection to the mail server, in a thread of its own
letters            composes the mails of a run
forms              what is the same in many mails, composed once
composing          turns a letter into what is handed over
handing_over       by our SMTP, or by a backend of Django's
session            what both are: taken, refused, away or unknown
smtp               our own session with the mail server, for many mails
dialogue           commands and their replies, strictly one for one
login              AUTH, without a secret in any error
backend_session    a session of any other backend, and what it answers
backends           what each backend can tell, and what it needs
smtplib_errors     what the errors of Django's SMTP mean
anymail_errors     what the errors of Anymail mean
lease              the lease on a mail, renewed while its worker waits
attempt            the outcome of one attempt
refusals           what the refusals of mail servers mean, as a table
faults             logs what fails by a fault of ours
finishing          updates the row after an attempt
reports            what providers report of a mail: delivered, bounced, complained
stops              mailboxes that get no more mails, and why
outage             growing pauses while the mail server is unavailable or refuses us
by_hand            the decisions of operators
checks             finds at start what would fail when a mail is sent
"""
