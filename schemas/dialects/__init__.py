"""Foreign formats into ours: one module per dialect, each a pure function from a record's bytes to a harvest.

Every deviation that is tolerated has a name (`coercions`); what cannot be read is BadInput with a reason.
"""
