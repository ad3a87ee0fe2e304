"""The DynamoDB front: validation, errors, one module per operation."""
