"""Jobs: what is done later, and again until it is done. Start at `jobs.runner`.

The rows are in the index (`medserver.index.jobs.jobs`) and are the truth. Here are the table of what can be done
(`kinds`), the messages that wake workers (`queue`), and the worker (`runner`, `lanes`, `slots`, `batch`, `outcome`,
`leases`).

A job is performed at least once, so what it does must be the same when it is done twice. Who wants something to be
done later adds a `medserver.index.NewJob`, in the transaction of the rows that it follows from.
"""
