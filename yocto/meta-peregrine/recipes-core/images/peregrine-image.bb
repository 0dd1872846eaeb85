SUMMARY = "A small system with Peregrine on it"
DESCRIPTION = "What boots, has a network and ssh, and runs Peregrine. It holds no model, no camera and no password: those are a product's own."
LICENSE = "MIT | Apache-2.0"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "systemd"

IMAGE_FEATURES += "ssh-server-openssh"
IMAGE_INSTALL += "packagegroup-peregrine"
