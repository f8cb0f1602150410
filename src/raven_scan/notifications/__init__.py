"""News for people and machines outside: e-mail and webhooks when a training run ends."""
