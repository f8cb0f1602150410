"""The `predict` command: a process that keeps a model ready and answers requests until nobody asks any more."""
