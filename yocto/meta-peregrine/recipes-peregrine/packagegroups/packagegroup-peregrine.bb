SUMMARY = "Peregrine and what it runs on"
DESCRIPTION = "The daemon, its configuration for the machine, and what one looks at cameras with when something is wrong."

# The recommendations differ from machine to machine.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

RDEPENDS:${PN} = "\
    ca-certificates \
    glib-networking \
    peregrine \
    peregrine-config \
    tzdata-core \
"
# gst-launch-1.0 and gst-inspect-1.0 are in gstreamer1.0 itself.
RRECOMMENDS:${PN} = "v4l-utils"
RRECOMMENDS:${PN}:append:tegra = " tegra-nvpmodel tegra-tools-tegrastats"
