# shellcheck shell=bash
#
# Another release of Debian in a folder, to test in. Sourced by test after packages.sh, never run.
#
# debootstrap fills the folder once. Whatever is mounted for it is mounted in a mount namespace of its own, and
# its processes have a PID namespace of their own: both end with the command that was run there, however
# that ends (kill -9 of this script included), so nothing stays mounted or running.

# Runs a command as process 1 of namespaces of its own; it dies when this script does.
run_contained() { # COMMAND...
    local contained status=0
    set -m # a process group of its own, with every signal as it should be
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
        --mount-proc -- "$@" </dev/null &
    contained=$!
    set +m
    # shellcheck disable=SC2064 # the process of now
    trap "kill -KILL $contained 2>/dev/null || true" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    wait "$contained" || status=$?
    trap - EXIT INT TERM HUP
    return $status
}

# apt in the new root shall reach its mirror the way apt does here.
copy_apt_settings() { # FOLDER
    local file
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$1/etc/apt/apt.conf.d/00host" || true
    for file in /etc/apt/auth.conf /etc/apt/auth.conf.d; do
        [ ! -e "$file" ] || cp -a "$file" "$1/etc/apt/"
    done
}

make_debian_root() { # CODENAME FOLDER
    local codename=$1 folder=$2 proxy='' uri source
    apt-get update -q >&2 || die "apt-get update failed; the reason stands above"
    # shellcheck disable=SC1091
    source=$(debian_source "$(. /etc/os-release && echo "${VERSION_CODENAME-}")")
    read -r _ uri <<<"$source"
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    rm -rf --one-file-system "$folder" "$folder.partial"
    mkdir -p "$folder.partial"
    if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then
        http_proxy=$proxy
        export http_proxy
    fi
    run_contained debootstrap --variant=minbase --include=ca-certificates "$codename" "$folder.partial" "$uri" >&2 ||
        die "debootstrap could not make $folder; the reason stands above, or in $folder.partial/debootstrap/debootstrap.log"
    mv "$folder.partial" "$folder"
}

# Runs a command in the folder as if it were the root of a machine. Not a mere chroot: ip-netns(8) wants /
# to be a mount.
run_in_root() { # FOLDER COMMAND...
    # shellcheck disable=SC2016 # expanded inside
    run_contained bash -euc '
        root=$1
        shift
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=755 run "$root/run"
        cd "$root"
        pivot_root . . # the old root is now mounted over the new one, see pivot_root(2)
        umount --lazy .
        cd /
        hash -r
        "$@" # as a child: process 1 collects orphans
    ' bash "$@"
}

# Copies the sources into a Debian of its own and runs what the README tells to run.
test_in_debian() { # CODENAME FOLDER [OPTION_OF_TEST...]
    local codename=$1 folder=$PWD/$2 place=/usr/src/narrowlink environment name
    shift 2
    [ "$(id -u)" = 0 ] || die "making another Debian in a folder needs root; run 'sudo $0 --debian13'"
    choose_packages
    install_packages debootstrap
    if [ -x "$folder/usr/bin/apt-get" ]; then
        say "using Debian $codename in $folder, made earlier; remove the folder to have it made anew"
    else
        say "making Debian $codename in $folder (a minute or two)"
        make_debian_root "$codename" "$folder"
    fi
    copy_apt_settings "$folder"
    cp -L /etc/resolv.conf /etc/hosts "$folder/etc/"

    say "copying the sources to $folder$place; what was built there before stays"
    mkdir -p "$folder$place"
    find "$folder$place" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    tar --create --exclude=./build --exclude=./.git . | tar --extract --directory "$folder$place" --no-same-owner

    environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8)
    for name in JOBS "${!SIM_@}"; do
        [ -n "${!name-}" ] || continue
        environment+=("$name=${!name}")
    done
    say "scripts/quickstart inside Debian $codename"
    run_in_root "$folder" env -i "${environment[@]}" "$place/scripts/quickstart" ||
        die "scripts/quickstart failed inside Debian $codename; its output stands above"
    say "scripts/test $* inside Debian $codename"
    run_in_root "$folder" env -i "${environment[@]}" "$place/scripts/test" "$@" ||
        die "scripts/test $* failed inside Debian $codename; its output stands above"
}
