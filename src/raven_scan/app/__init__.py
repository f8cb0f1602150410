"""The front door: command line, server, worker, demo, and the wiring that builds everything once."""
