"""How does a probe reach its target: by which address, over which connection, and when?"""
