"""Secondary indexes: what of a row is in them, and how changes of rows reach them."""
