"""HTTP for both programs. Everything below this folder needs the extra `http`."""
