"""The mind of a ProxyAgent: pure machines. They know no socket, no clock and no chance."""
