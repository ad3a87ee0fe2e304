"""The operator: observe, plan (pure), execute, report."""
