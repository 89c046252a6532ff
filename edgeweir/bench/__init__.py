"""`edgeweir bench`: the published measurements, each against its contenders on one broker, in one run."""
