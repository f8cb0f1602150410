"""Durable execution: the queue, leases, and supervision of a child process."""
