"""What should be done: the one pure mind, hosted live by streams and in replay by the lab."""
