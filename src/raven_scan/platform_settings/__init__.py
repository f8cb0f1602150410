"""Settings that are changed while the server runs, before the environment variables that it was started with."""
