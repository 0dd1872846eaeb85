SUMMARY = "A small system with Peregrine on it"
DESCRIPTION = "What boots, has a network and ssh, and runs Peregrine. It holds no model, no camera and no password: those are a product's own."
LICENSE = "MIT | Apache-2.0"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "systemd"

# What the board's layer recommends. Of a Raspberry Pi's that is firmware of the wireless chip, which bitbake refuses for the whole image
# until its licence is accepted: without it the board has what a network by cable and cameras need.
PEREGRINE_IMAGE_BOARD ?= "packagegroup-base-extended"
PEREGRINE_IMAGE_BOARD:rpi ?= "${@bb.utils.contains('LICENSE_FLAGS_ACCEPTED', 'synaptics-killswitch', \
    'packagegroup-base-extended', 'kernel-modules udev-rules-rpi', d)}"

IMAGE_FEATURES += "ssh-server-openssh"
IMAGE_INSTALL = "packagegroup-core-boot ${PEREGRINE_IMAGE_BOARD} packagegroup-peregrine ${CORE_IMAGE_EXTRA_INSTALL}"
