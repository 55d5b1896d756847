"""Transcripts of the pure machines: commands and their whole effect."""
