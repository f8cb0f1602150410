"""The embedded PostgreSQL server: started for its first holder, stopped after its last.

The door is `server.EmbeddedPostgres`. This file imports nothing, because the guardian is a bare Python
without site-packages: `guardian.py` and whatever it imports use the standard library alone.
"""
