"""The client's source, asynchronous; scripts/make_synchronous_client.py writes `synchronous/` from it."""
