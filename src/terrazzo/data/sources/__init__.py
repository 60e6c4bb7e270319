"""Ways in which data sets lie on disk: one file a layout, each a record that lists its images."""
