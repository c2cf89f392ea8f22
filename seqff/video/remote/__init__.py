"""Videos at addresses (s3://, gs://, https://, ...): fetched into a folder of limited size and read from there."""
