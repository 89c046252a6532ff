"""The doors for people: command line, console, development kit and lab."""
