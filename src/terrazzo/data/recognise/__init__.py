"""What a folder of images and labels is: its layout, its classes, and settings to begin with."""
