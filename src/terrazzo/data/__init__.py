"""Classes, catalogs, patches, statistics, stores, datasets and augmentation."""
