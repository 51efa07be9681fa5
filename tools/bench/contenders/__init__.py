"""What is measured: Admit One, and two other implementations of the same journey.

`product` is Admit One itself.
`bare` is the least that can do the work: the same rows and messages, and nothing else.
`textbook` is what most tutorials build: Celery tasks and a consumer, one row at a time. Its
processes are in `textbook_tasks` and `textbook_web`, which use only psycopg, Celery and Django.
"""
