"""Messages that could not be handled: kept, retried, replayed, closed.

| Module | What it does |
|---|---|
| `keeping` | stores a message with everything known about it |
| `error_record` | an error as it is stored |
| `retrying` | retries messages when they are due |
| `groups` | messages in groups with one cause, as operators choose them |
| `operator_actions` | carries out what an operator orders |
| `replay` | replays one message, or rehearses that; `bulk_replay` many |
| `replayable`, `replay_results` | which messages a replay may try, and what came of it |
| `acts`, `report` | what operators did, and what they read |
"""
