"""The feature cache: what a frozen backbone answers to each patch, computed once and read instead of computed again."""
