"""One model in memory, asked over HTTP or from the command line."""
