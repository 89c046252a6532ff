"""The edgeweir command; each command imports its floor only when it runs."""
