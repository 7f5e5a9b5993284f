#!/bin/bash
# Builds the small Linux guest: vmlinux, initramfs.gz and root.ext4.
#
#   build.sh OUTPUT [--refresh]
#
# The kernel is the distribution's cloud kernel and the user space its static busybox: both packages are
# downloaded and unpacked, never installed, so no root is needed. The result is kept below OUTPUT/cache by
# the digest of everything that went into it; a second call copies nothing and asks no network.
# --refresh looks for newer packages. QARAX_IMAGE_CACHE names another folder for the cache, to share it.
# The guest's behaviour is in `init` and `rootfs/etc/qarax/` beside this file.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
umask 022

KERNEL=linux-image-cloud-amd64
# In the order in which they are wanted; what they depend on is loaded before them. A module that the
# kernel has built in is not in the package and is left out.
MODULES='virtio_ring virtio virtio_mmio virtio_pci failover net_failover virtio_net virtio_blk button evdev
ext4 virtio_rng virtio_balloon virtio_mem pvpanic-mmio pvpanic-pci'

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "guest image: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

main() {
    output=${1:?"usage: build.sh OUTPUT [--refresh]"}
    mkdir -p "$output" || fail "the folder $output cannot be made; choose another"
    output=$(cd "$output" && pwd)
    cache=${QARAX_IMAGE_CACHE:-$output/cache}
    mkdir -p "$cache" || fail "the folder $cache cannot be made"
    exec 9>"$cache/lock"
    flock 9
    recipe=$(recipe_digest)
    if [ "${2:-}" = --refresh ] || ! digest=$(cat "$cache/$recipe.built" 2>/dev/null) || [ ! -d "$cache/$digest" ]; then
        require
        fetch_packages
        build
    fi
    publish
}

# Everything of ours that goes in.
recipe_digest() {
    (cd "$here" && find build.sh init rootfs -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}

require() {
    local tool
    for tool in apt-get apt-cache dpkg-deb mke2fs gzip sha256sum; do
        command -v $tool >/dev/null || fail "'$tool' is missing. The image is made from Debian packages:" \
            "run this on Debian, or install it (mke2fs is in the package e2fsprogs)"
    done
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "only amd64 has a guest image so far"
}

fetch_packages() {
    mkdir -p "$cache/packages"
    apt=()
    if ! download; then
        say "looking up packages (a private apt index below $cache/apt)"
        own_index
        download || fail "could not download $KERNEL and busybox-static. Is there a network, and a Debian" \
            "source in /etc/apt? The last words of apt: $(tail -n 3 "$cache/apt.log" | tr '\n' ' ')"
    fi
}

# apt with lists of our own, so that neither root nor an up-to-date system is needed.
own_index() {
    mkdir -p "$cache"/apt/{state/lists/partial,cache/archives/partial}
    apt=(-o "Dir::State=$cache/apt/state" -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$cache/apt/cache"
        -o Acquire::Retries=3)
    apt-get -q "${apt[@]}" -o "APT::Sandbox::User=$(id -un)" update >"$cache/apt.log" 2>&1 ||
        fail "apt could not reach its sources. Connect this machine, or bring a filled $cache here." \
            "The last words of apt: $(tail -n 3 "$cache/apt.log" | tr '\n' ' ')"
}

download() {
    local kernel
    kernel=$(apt-cache "${apt[@]}" depends "$KERNEL" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p' | head -n 1)
    [ -n "$kernel" ] || return 1
    kernel_package=$(fetch "$kernel") && busybox_package=$(fetch busybox-static)
}

# Prints the file of a package, downloaded when it is not in the cache.
fetch() {
    local name=$1 version file
    version=$(apt-cache "${apt[@]}" policy "$name" | sed -n 's/^ *Candidate: //p')
    [ -n "$version" ] && [ "$version" != '(none)' ] || return 1
    file="$cache/packages/${name}_${version//:/%3a}_amd64.deb"
    if [ ! -f "$file" ]; then
        say "downloading $name $version"
        (
            cd "$(mktemp -d "$cache/packages/partial.XXXXXX")"
            trap 'rm -rf "$PWD"' EXIT
            apt-get -q "${apt[@]}" -o "APT::Sandbox::User=$(id -un)" download "$name=$version" >"$cache/apt.log" 2>&1
            mv ./*.deb "$file"
        ) || return 1
    fi
    echo "$file"
}

build() {
    digest=$({ echo "$recipe"; sha256sum <"$kernel_package"; sha256sum <"$busybox_package"; } | sha256sum | cut -c1-32)
    if [ ! -d "$cache/$digest" ]; then
        work=$(mktemp -d "$cache/work.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        say "building from $(basename "$kernel_package")"
        dpkg-deb -x "$kernel_package" "$work/kernel"
        dpkg-deb -x "$busybox_package" "$work/busybox"
        busybox=$(find "$work/busybox" -type f -path '*/bin/busybox' | head -n 1)
        mkdir "$work/out"
        cp "$(find "$work/kernel/boot" -name 'vmlinuz-*' | head -n 1)" "$work/out/vmlinux"
        build_tree "$work/tree"
        mke2fs -q -t ext4 -L qarax-root -d "$work/tree" -E root_owner=0:0 "$work/out/root.ext4" 64M >/dev/null
        build_initramfs
        chmod 755 "$work/out"
        mv "$work/out" "$cache/$digest"
        rm -rf "$work"
    fi
    echo "$digest" >"$cache/$recipe.built.new"
    mv "$cache/$recipe.built.new" "$cache/$recipe.built"
}

# What both the initramfs and the root disk hold.
build_tree() {
    local tree=$1 applet
    mkdir -p "$tree"/{bin,dev,lib,mnt,proc,root,run,sys,tmp,var}
    ln -s bin "$tree/sbin"
    ln -s ../run "$tree/var/run"
    cp -r "$here/rootfs/." "$tree"
    chmod 755 "$tree"/etc/qarax/* "$tree"/etc/acpi/PWRF/* "$tree"/usr/share/udhcpc/*
    cp "$busybox" "$tree/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
    done
}

build_initramfs() {
    local tree=$work/tree
    cp "$here/init" "$tree/init"
    chmod 755 "$tree/init"
    mkdir -p "$tree/lib/modules"
    : >"$tree/lib/modules/order"
    for module in $MODULES; do add_module "$module"; done
    find "$tree" -exec touch -h -d @0 {} +
    (cd "$tree" && find . | sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) | gzip -9n >"$work/out/initramfs.gz"
}

# Copies a module after those it depends on, each once, and notes the order.
add_module() {
    local name=$1 file dependency
    file=$(find "$work/kernel" -name "${name//[-_]/[-_]}.ko*" | head -n 1)
    [ -n "$file" ] || return 0
    local target
    target=$(basename "$file")
    target=${target%.xz}
    grep -qx "$target" "$work/tree/lib/modules/order" && return 0
    if [ "$file" = "${file%.xz}" ]; then
        cp "$file" "$work/tree/lib/modules/$target"
    else
        "$busybox" unxz -c "$file" >"$work/tree/lib/modules/$target"
    fi
    for dependency in $(module_dependencies "$work/tree/lib/modules/$target"); do add_module "$dependency"; done
    echo "$target" >>"$work/tree/lib/modules/order"
}

module_dependencies() {
    grep -a -o -z -E '^depends=.*' "$1" | tr '\0' '\n' | sed -n 's/^depends=//p' | tr ',' ' '
}

# Puts the image in place, file by file, each atomically and only when it is another one.
publish() {
    [ "$(cat "$output/digest" 2>/dev/null)" = "$digest" ] && [ -f "$output/vmlinux" ] &&
        [ -f "$output/initramfs.gz" ] && [ -f "$output/root.ext4" ] && return 0
    local name
    for name in vmlinux initramfs.gz root.ext4; do
        cp --sparse=always "$cache/$digest/$name" "$output/$name.new"
        mv "$output/$name.new" "$output/$name"
    done
    echo "$digest" >"$output/digest"
    say "ready in $output"
}

main "$@"
