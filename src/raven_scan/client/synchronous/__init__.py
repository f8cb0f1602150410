# Made from asynchronous/__init__.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The synchronous client, made from `asynchronous/`."""
