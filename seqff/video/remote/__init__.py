"""Videos at addresses (s3://, gs://, https://, ...): downloaded into a cache of limited size and read from there."""
