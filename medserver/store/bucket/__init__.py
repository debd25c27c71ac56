"""A volume in a bucket of an S3 service."""
