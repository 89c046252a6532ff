"""The outer things a command can change, each behind one small protocol."""
