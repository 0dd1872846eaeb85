#!/usr/bin/env bash
# What the packages' own scripts would have done in a tree of which nothing may run: dpkg's list of what is there, users, links that
# update-alternatives makes, services that are on. Run by mmdebstrap on behalf of scripts/arm64-tree.sh, with the tree's folder: with --begin before
# anything is unpacked.
set -euo pipefail
triplet=aarch64-linux-gnu
cross=$(cd "$(dirname "$0")" && pwd)

case ${1:-} in
  -h | --help) echo "Usage: cross/finish-tree.sh [--begin] TREE"; exit 0 ;;
esac

if [ "$1" = --begin ]; then
  # One /usr, as every Debian has it that was installed: /bin, /sbin and /lib are links.
  for folder in bin sbin lib; do
    mkdir -p "$2/usr/$folder"
    ln -s "usr/$folder" "$2/$folder"
  done
  exit 0
fi
tree=$1

# dpkg shall know what there is: a package that is installed later has its dependencies checked.
mkdir -p "$tree/var/lib/dpkg/info"
: >"$tree/var/lib/dpkg/status"
# The form in which a package's files are named after its architecture, where it may be there for several.
echo 1 >"$tree/var/lib/dpkg/info/format"
for deb in "$tree"/var/cache/apt/archives/*.deb; do
  control=$(dpkg-deb --field "$deb")
  printf 'Status: install ok installed\n%s\n\n' "$control" >>"$tree/var/lib/dpkg/status"
  name=$(dpkg-deb --field "$deb" Package)
  if grep -qx 'Multi-Arch: same' <<<"$control"; then name+=:arm64; fi
  : >"$tree/var/lib/dpkg/info/$name.list"
done

# Nobody reads in there. (A filter while unpacking would be a program started for every package.)
rm -rf "$tree"/usr/share/{doc,info,man,locale}

# gstreamer1.0-libav wants these two, which are chosen among alternatives.
for library in blas lapack; do
  chosen=$library/lib$library.so.3
  [ ! -e "$tree/usr/lib/$triplet/$chosen" ] || ln -sf "$chosen" "$tree/usr/lib/$triplet/lib$library.so.3"
done

"$cross/relative-links.sh" "$tree"

# A tree that only serves builds ends here.
[ -e "$tree/usr/share/base-passwd/passwd.master" ] || exit 0
cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
for file in shadow gshadow; do
  : >"$tree/etc/$file"
  chmod 600 "$tree/etc/$file"
done
cp "$tree/usr/share/libc-bin/nsswitch.conf" "$tree/etc/nsswitch.conf"
mkdir -p "$tree"/{proc,sys,run,root,mnt,var/tmp} "$tree/etc/systemd/system/multi-user.target.wants"
chmod 1777 "$tree/tmp" "$tree/var/tmp"
ln -sf mawk "$tree/usr/bin/awk"
ln -sf dash "$tree/usr/bin/sh"
# A trigger of the package does this elsewhere; without it GLib ends whoever asks for a proxy, which an RTSP source does.
glib-compile-schemas "$tree/usr/share/glib-2.0/schemas"
number=100
for user in messagebus mosquitto; do
  echo "$user:x:$number:$number::/nonexistent:/usr/sbin/nologin" >>"$tree/etc/passwd"
  echo "$user:x:$number:" >>"$tree/etc/group"
  number=$((number + 1))
done
systemd-sysusers --root="$tree"
depmod -b "$tree" "$(ls "$tree/usr/lib/modules")"
systemctl --root="$tree" preset-all >/dev/null 2>&1 || true
rm -f "$tree/etc/systemd/system/multi-user.target.wants/mosquitto.service"
printf '127.0.0.1 localhost\n' >"$tree/etc/hosts"
echo vm >"$tree/etc/hostname"
: >"$tree/etc/machine-id"
