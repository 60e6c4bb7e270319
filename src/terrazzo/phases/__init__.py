"""The public verbs: each takes a configuration apart, hands every room the records it needs, and returns a summary.

Each lies in the module of its name. They are not gathered here: mapping a scene must not load what training needs.
"""
