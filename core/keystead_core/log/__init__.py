"""The log: records, and the entries of the hot log that carry them."""
