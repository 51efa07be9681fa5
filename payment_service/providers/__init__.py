"""Payment providers: what they report by webhook becomes subscriptions, renewals and refunds.

| Module | What it does |
|---|---|
| `views` | the entry point for a provider: checks the signature, answers |
| `receiving` | keeps an event and applies it, in one commit |
| `handling` | applies one event: finds its subscription, or lets it wait for that |
| `effects` | what each command does to a subscription, whatever came before it |
| `commands` | the few commands that all providers' events come to |
| `provider` | what a provider is; another one is a file beside `stripe`, listed in `registry` |
| `stripe` | the only file that knows Stripe |
| `fake_stripe` | makes and signs its events, for tests and the demo |
| `models` | events, whom they name, their ids of subscriptions, and until when those are paid |
| `persons` | finds open events by the users and addresses that they name |
| `by_hand` | what operators do: try events again, close them |
| `erasing`, `retention` | what is deleted, for whom and when |
"""
