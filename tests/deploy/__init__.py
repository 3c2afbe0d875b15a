"""What is delivered beside the package: the image and how it is started."""
