"""Runs the Function App on one machine, without Azure. It imports the app, never the reverse; it is not published."""
