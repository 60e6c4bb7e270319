"""FC-HarDNet: fully convolutional harmonic dense networks for segmentation."""
