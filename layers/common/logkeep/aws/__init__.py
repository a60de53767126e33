"""Access to AWS that the stores share: clients, DynamoDB, S3, multipart uploads. May import the leaves."""
