"""What may be mapped: files and addresses, mosaics of them, separate bands, products, and areas of interest."""
