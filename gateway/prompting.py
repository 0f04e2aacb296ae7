"""Step 4 for calls with a prompt: which version, which variant, and the body that they make."""
