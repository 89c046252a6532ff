"""Tables, fusion, freshness, the capacity ledger and geography: what is known, accounted."""
