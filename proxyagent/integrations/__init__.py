"""What stands between a ProxyAgent and proxies that exist: one file or folder per kind, on adapter.py's interface."""
