"""Messages between nodes: framing, connections, and the catalog client."""
