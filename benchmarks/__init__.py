"""Measurements against the official pipeline; each is one command, and prints what it measured."""
