"""One module per DynamoDB operation."""
