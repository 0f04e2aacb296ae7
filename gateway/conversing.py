"""Conversations that the gateway keeps, and prompts that are longer than a model's window."""
