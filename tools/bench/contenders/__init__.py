"""What is measured: Admit One, and the same journey built in two other ways.

`product` is Admit One itself.
`bare` is the least that can do the work: the same rows and the same messages, nothing else.
`textbook` is what most tutorials build: Celery tasks and a consumer, one row at a time.

These three modules say how each runs. What runs is in `bare_processes`, `textbook_tasks` and
`textbook_web`, which know only psycopg, py-amqp, Celery and Django; nothing of ours.
"""
