"""What every store shares: clients, DynamoDB, S3 and multipart uploads. May import the leaves."""
