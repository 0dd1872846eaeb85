SUMMARY = "Peregrine's configuration for this machine"
DESCRIPTION = "/etc/peregrine/peregrine.toml with the board's profile, and what the service may see beyond the usual on this board. A recipe \
of its own, so that a product's configuration, set in a .bbappend, does not have the daemon built anew."
SECTION = "multimedia"
LICENSE = "MIT | Apache-2.0"

require peregrine-source.inc

# Nothing is compiled, and yet the files are the machine's.
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

# One of the profiles in config/, which are part of the program; none if empty.
PEREGRINE_PROFILE ?= ""
PEREGRINE_PROFILE:raspberrypi4 ?= "raspberry-pi-4"
PEREGRINE_PROFILE:raspberrypi5 ?= "raspberry-pi-5"
PEREGRINE_PROFILE:orin-nano ?= "jetson-orin-nano"

# Files of systemd/ that are laid over the unit.
PEREGRINE_DROPINS ?= ""
PEREGRINE_DROPINS:rpi ?= "raspberry-pi.conf"
PEREGRINE_DROPINS:tegra ?= "jetson.conf"

B = "${WORKDIR}/build"

do_configure[noexec] = "1"

do_compile() {
    cp ${S}/config/default.toml ${B}/peregrine.toml
    for profile in ${PEREGRINE_PROFILE}; do
        [ -f ${S}/config/$profile.toml ] || bbfatal "there is no profile $profile"
        sed -i "s/^#profile = .*/profile = \"$profile\"/" ${B}/peregrine.toml
        grep -q "^profile = \"$profile\"$" ${B}/peregrine.toml || bbfatal "config/default.toml has no line for a profile"
    done
}

do_install() {
    install -D -m 0644 ${B}/peregrine.toml ${D}${sysconfdir}/peregrine/peregrine.toml
    for dropin in ${PEREGRINE_DROPINS}; do
        install -D -m 0644 ${S}/systemd/$dropin ${D}${systemd_system_unitdir}/peregrine.service.d/$dropin
    done
}

# The camera daemon's, by which a service that runs is given a new socket of it.
do_install:append:tegra() {
    install -D -m 0644 ${S}/systemd/nvargus-daemon.conf ${D}${systemd_system_unitdir}/nvargus-daemon.service.d/peregrine.conf
}

FILES:${PN} += "${systemd_system_unitdir}/peregrine.service.d ${systemd_system_unitdir}/nvargus-daemon.service.d"
CONFFILES:${PN} = "${sysconfdir}/peregrine/peregrine.toml"
