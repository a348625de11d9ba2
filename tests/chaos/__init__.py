"""Chaos: a client under random load while brokers, the network, topics and its own actors fail, and a check
of every record.

    python -m tests.chaos --seed 7 --minutes 3

What happens is drawn from the seed alone (`plan`): topics, producers' options, workers, and which fault
strikes when. How the processes interleave is not, so a seed repeats the circumstances of a failure and not
every step of it.

Three processes take part, so that none disturbs what is measured in another:

- world (this one): the cluster, a TCP proxy before each broker, and the faults; `run`, `faults`, `proxy`
- load: a client; dozens of greenlets that produce, with a journal of what each record came to (`load`,
  `workers`, `journal`); and some that own transactions, with a ledger (`owners`, `ledger`)
- control: no client, only the measure of how long the machine keeps a process waiting; `ticker`

Afterwards the logs are read by confluent-kafka (`witness`) and compared with the journal (`check`) and the
ledger (`check_transactions`), by pure functions.
"""
