"""Four state machines that fold events and issue outputs; one owner for every fact."""
