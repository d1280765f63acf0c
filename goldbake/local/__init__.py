"""This machine as a cloud: build a root file system, provision it in a container, assemble a disk, boot a VM."""
