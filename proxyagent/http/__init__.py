"""What `proxyagent run` says over HTTP. Everything below this folder needs the extra `http`."""
