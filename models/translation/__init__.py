"""Pictures to pictures."""
