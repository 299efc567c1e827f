"""The command line: thin, and torch is imported only by the command that needs it."""
