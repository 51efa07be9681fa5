#!/bin/sh
# Runs a command in a Debian root: sh inside.sh ROOT PATH… -- COMMAND…
# It has processes, mounts and a network of its own, so that no server of this machine answers
# there, and nothing is left when it ends. PATHs of this machine can be read there.
# It needs root, and pasta (Debian's package passt), which connects that network to the outside.
set -eu

if [ "${1:-}" != --unshared ]; then
    exec pasta --quiet --netns-only --runas 0 --config-net \
        --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none -- \
        unshare --mount --pid --fork --kill-child sh "$0" --unshared "$@"
fi
root=$2
shift 2
mount --bind "$root" "$root" # a place of its own to mount on
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o size=64m tmpfs "$root/dev/shm" # as small as a container's
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}" && : >>"$root$1"; fi
    mount --bind -o ro "$1" "$root$1"
    shift
done
shift
exec chroot "$root" "$@"
