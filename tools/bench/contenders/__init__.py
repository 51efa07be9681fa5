"""What the product is measured against: the same journey, built in two other ways.

`bare` is the least that can do the work: the same rows and the same messages, nothing else.
`textbook` is what most tutorials build: Celery tasks and a consumer, one row at a time.
Both know only `psycopg`, `py-amqp` and Celery; nothing of ours.
"""
