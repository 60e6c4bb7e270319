"""How an image's classes are known: a raster, vector shapes, drawn shapes; each read by windows on the image's grid."""
