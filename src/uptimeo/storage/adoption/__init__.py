"""How does an installation of the older kind become one of ours, while it runs?"""
