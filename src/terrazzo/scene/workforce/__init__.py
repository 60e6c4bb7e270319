"""Who computes a scene's strips: this process, several on this machine, or a cluster's; always the same bits."""
