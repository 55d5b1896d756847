"""What an agent tells others by itself: events as JSON, signed, over HTTP."""
