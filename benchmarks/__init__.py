"""Measurements; each prints a table. Never run as tests: they want a quiet machine."""
