"""Plain functions of values that decide; holding still is a decision too."""
