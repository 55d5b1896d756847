"""What an agent says over HTTP. Everything below this folder needs the extra `http`."""
