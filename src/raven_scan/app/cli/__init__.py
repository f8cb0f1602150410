"""The command line, `raven`: one file a noun; every command is a call of the typed client."""

from raven_scan.app.cli.program import app, main

__all__ = ["app", "main"]
