"""Who trains, selects, calibrates and judges: roles of images and of parts of them, folds, named validation sets."""
