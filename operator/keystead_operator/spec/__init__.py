"""The custom resources: their schemas (the one source of crds/), their validation, and what a spec means."""
