"""Who does it: take a command, check, fence, apply, report; never decide."""
