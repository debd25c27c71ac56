"""A volume in a directory."""
