"""Print Management as SCP (PS3.4 H). Start at `management`: which SOP class has which operations."""
