"""HAProxy: its runtime socket, a map of sessions pushed over it, and answers to its agent-check."""
