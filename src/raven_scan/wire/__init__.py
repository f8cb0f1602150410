"""The messages between worker and trainer."""
