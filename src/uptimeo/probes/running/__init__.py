"""How is a probe run: with how many tries, beside how many others, and is it our own fault?"""
