"""Sockets, TLS, files and clocks around the language. Nothing else in protocol imports from here, and this file imports
nothing, so that what needs no trio starts without it."""
