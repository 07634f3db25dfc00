"""How it is run: the command line, the servers of a developer's machine, the feeds and the demo."""
