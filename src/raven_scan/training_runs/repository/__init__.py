"""All SQL of training runs."""
