"""The page of a node that shows the whole cluster: GET /ui on the admin port."""
