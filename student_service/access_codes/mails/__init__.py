"""Mails: written with their codes, sent one at a time, and finished; none stays in doubt unseen.

access_code_mail   the one kind of mail there is: what it says, and what its end means
writing            a mail becomes a row (`MailIntent`), in the transaction that causes it
sending            the loop of a worker: claim, attempt, finish
claiming           which mail a worker takes next
composing          a letter becomes the bytes that go to the server
smtp               the mail server: one session, many mails
attempt            how one attempt to hand over a mail ends
finishing          what the end of an attempt means for the row
outage             the mail server is away: growing pauses
by_hand            what operators decide about mails in doubt
"""
