SUMMARY = "Video analytics at the edge"
DESCRIPTION = "Cameras in; detections, tracks and events out over MQTT. One daemon that decodes, detects, tracks, applies rules of \
zones and lines, keeps events on disk and stays within a budget of power and heat."
SECTION = "multimedia"
# The project's own is the first; the rest is what the crates that are linked in leave no choice about.
LICENSE = "(MIT | Apache-2.0) & Apache-2.0 & BSD-3-Clause & ISC & MIT & Unicode-3.0 & Zlib"

require peregrine-source.inc
require peregrine-crates.inc

DEPENDS += "glib-2.0 gstreamer1.0 gstreamer1.0-plugins-base"

inherit bash-completion cargo cargo-update-recipe-crates pkgconfig systemd useradd

# What the daemon can decode and compute with. All of it is found when the daemon runs, so each is but a package beside it, save for
# TensorRT, for which tables are compiled.
PACKAGECONFIG ??= "v4l2"
PACKAGECONFIG:append:tegra = " tensorrt nvmm"
PACKAGECONFIG[tensorrt] = ",--no-default-features,tensorrt-core tensorrt-plugins,tensorrt-core tensorrt-plugins tegra-libraries-cuda"
# V4L2 cameras, and the decoders of boards that show theirs as V4L2 devices (a Raspberry Pi).
PACKAGECONFIG[v4l2] = ",,,gstreamer1.0-plugins-good-video4linux2,gstreamer1.0-plugins-bad-v4l2codecs"
PACKAGECONFIG[libcamera] = ",,,libcamera-gst"
# Decoders, converter and CSI cameras of a Jetson.
PACKAGECONFIG[nvmm] = ",,,\
    gstreamer1.0-plugins-nvarguscamerasrc gstreamer1.0-plugins-nvvidconv gstreamer1.0-plugins-nvvideo4linux2 \
    tegra-argus-daemon tegra-libraries-multimedia"
# FFmpeg's decoders: H.264, H.265 and more on the processor. A Raspberry Pi 5 decodes H.264 in no other way.
PACKAGECONFIG[libav] = ",,,gstreamer1.0-libav"
PACKAGECONFIG[va] = ",,,gstreamer1.0-plugins-bad-va"

# The board's packages that are named above exist for these machines alone.
PACKAGE_ARCH:tegra = "${TEGRA_PKGARCH}"
PACKAGE_ARCH:rpi = "${MACHINE_ARCH}"

# What is shipped elsewhere, too: linked as a whole. Symbols are for OpenEmbedded to split off.
BUILD_MODE = "${@['--profile dist', ''][d.getVar('DEBUG_BUILD') == '1']}"
BUILD_DIR = "${@['dist', 'debug'][d.getVar('DEBUG_BUILD') == '1']}"
export CARGO_PROFILE_DIST_STRIP = "none"
# Crates' own C lies beside the sources: its paths, too, are none of the device's business.
DEBUG_PREFIX_MAP += "-ffile-prefix-map=${CARGO_HOME}=${TARGET_DBGSRC_DIR}"

# The major version of the headers that meta-tegra has. They are copied to a folder of their own: a sysroot's whole include folder, named
# to the compiler as one of the system's, would come before that of the C++ library, which then does not find C's headers behind its own.
PEREGRINE_TENSORRT_MAJOR ?= "10"
PEREGRINE_TENSORRT_HEADERS = "${B}/tensorrt-headers"
do_compile:prepend() {
    if ${@bb.utils.contains('PACKAGECONFIG', 'tensorrt', 'true', 'false', d)}; then
        rm -rf ${PEREGRINE_TENSORRT_HEADERS}
        install -d ${PEREGRINE_TENSORRT_HEADERS}
        install -m 0644 ${STAGING_INCDIR}/Nv*.h ${PEREGRINE_TENSORRT_HEADERS}
        export PEREGRINE_TENSORRT_INCLUDE_${PEREGRINE_TENSORRT_MAJOR}="${PEREGRINE_TENSORRT_HEADERS}"
    fi
}

do_install:append() {
    install -D -m 0644 ${S}/systemd/peregrine.service ${D}${systemd_system_unitdir}/peregrine.service
    install -D -m 0644 ${S}/systemd/peregrine.sysusers.conf ${D}${nonarch_libdir}/sysusers.d/peregrine.conf
    install -D -m 0644 ${S}/systemd/peregrine.tmpfiles.conf ${D}${nonarch_libdir}/tmpfiles.d/peregrine.conf

    install -d ${D}${mandir}/man1
    install -m 0644 ${S}/packaging/man/*.1 ${D}${mandir}/man1
    install -D -m 0644 ${S}/packaging/completions/peregrine.bash ${D}${datadir}/bash-completion/completions/peregrine

    install -d ${D}${docdir}/${BPN}/examples
    install -m 0644 ${S}/docs/operations.md ${D}${docdir}/${BPN}
    install -m 0644 ${S}/systemd/cpu-governor.conf ${S}/systemd/nvpmodel.conf ${D}${docdir}/${BPN}/examples
}

FILES:${PN} += "${nonarch_libdir}/sysusers.d/peregrine.conf ${nonarch_libdir}/tmpfiles.d/peregrine.conf"

SYSTEMD_SERVICE:${PN} = "peregrine.service"

# As systemd/peregrine.sysusers.conf has them: an image knows its users before systemd starts for the first time. openembedded-core brings
# the group video, and udev the group render; it is named again so that no order of installation matters.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system render"
USERADD_PARAM:${PN} = "--system --user-group --home-dir ${localstatedir}/lib/peregrine --no-create-home \
    --shell ${base_sbindir}/nologin peregrine"

# The elements without which no RTSP camera and no file is read.
RDEPENDS:${PN} = "\
    gstreamer1.0 \
    gstreamer1.0-plugins-bad-mpegtsdemux \
    gstreamer1.0-plugins-bad-videoparsersbad \
    gstreamer1.0-plugins-base-app \
    gstreamer1.0-plugins-base-typefindfunctions \
    gstreamer1.0-plugins-base-videoconvertscale \
    gstreamer1.0-plugins-base-videotestsrc \
    gstreamer1.0-plugins-good-avi \
    gstreamer1.0-plugins-good-isomp4 \
    gstreamer1.0-plugins-good-jpeg \
    gstreamer1.0-plugins-good-matroska \
    gstreamer1.0-plugins-good-rtp \
    gstreamer1.0-plugins-good-rtpmanager \
    gstreamer1.0-plugins-good-rtsp \
    gstreamer1.0-plugins-good-udp \
"
# TLS to brokers and to cameras, and the hours of alerts in local time.
RRECOMMENDS:${PN} = "ca-certificates glib-networking peregrine-config tzdata-core"
