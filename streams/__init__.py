"""The live host of the controllers: Faust's programming model over our own data plane."""
