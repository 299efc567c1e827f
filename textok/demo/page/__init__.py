"""The page itself, in gradio, which is imported here alone."""
