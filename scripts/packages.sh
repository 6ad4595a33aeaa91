# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034 # apt's own $(...); lists for those who source this
#
# Installs Debian packages by name. Sourced by quickstart and test, never run.
#
# Some libraries of Debian 12 and 13 are too old and come from the release's backports. For that one
# apt-get call these are an additional source, with a pin that refuses them for every package but
# `backported`. Source and pin live in a temporary folder that apt is pointed to: nothing is
# written below /etc/apt, so nothing can be left enabled there, not even after kill -9. The mirror
# is the one this machine uses already.

build_packages=(g++ cmake ninja-build pkg-config libssl-dev libyaml-cpp-dev libspdlog-dev libcli11-dev
                libgtest-dev libgmock-dev libngtcp2-dev libnghttp3-dev libminiupnpc-dev libnatpmp-dev) # and those of the release, below
demo_packages=(curl iproute2 openssl procps python3)
test_packages=("${demo_packages[@]}" openssh-server openssh-client nginx-light dnsmasq-base bind9-dnsutils
               iperf3 rsync nftables conntrack tcpdump socat miniupnpd-nftables)
services=(nginx ssh) # what the test packages would start; the tests run servers of their own

say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "installing packages needs root, and sudo is not installed; run this script as root"
    fi
}

debian_version() {
    local ID='' VERSION_ID=''
    # shellcheck disable=SC1091
    . /etc/os-release
    [ "$ID" = debian ] || die "this is ${ID:-an unknown system}, not Debian 12 or later; install the packages of scripts/packages.sh by hand and use cmake --preset release"
    echo "${VERSION_ID:-99}" # testing and unstable have no number
}

# Adds to build_packages those whose names depend on the release of Debian, and says which of them come
# from its backports. QUIC's TLS is OpenSSL where there is 3.5, GnuTLS on Debian 12.
choose_packages() {
    local version
    version=$(debian_version)
    [ "$version" -ge 12 ] || die "this is Debian $version; Debian 12 or later has the compiler and libraries that are needed"
    backported=() backports=''
    if [ "$version" = 12 ]; then
        least_ngtcp2=1.11
        build_packages+=(libboost1.81-dev libgnutls28-dev libngtcp2-crypto-gnutls-dev)
        backports=bookworm-backports
        backported=(libngtcp2-dev libngtcp2-16 libngtcp2-crypto-gnutls-dev libngtcp2-crypto-gnutls8
                    libnghttp3-dev libnghttp3-9)
        return
    fi
    least_ngtcp2=1.22
    build_packages+=(libboost-dev libngtcp2-crypto-ossl-dev)
    [ "$version" = 13 ] || return 0
    backports=trixie-backports
    backported=(libngtcp2-dev libngtcp2-16 libngtcp2-crypto-ossl-dev libngtcp2-crypto-ossl0)
}

is_installed() { # PACKAGE [LEAST_VERSION]
    local known
    known=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
    [ "${known% *}" = installed ] || return 1
    [ -z "${2-}" ] || dpkg --compare-versions "${known#* }" ge "$2"
}

is_satisfied() { # PACKAGE: installed, and recent enough where that matters
    case $1 in
    libngtcp2-*) is_installed "$1" "$least_ngtcp2" ;;
    libnghttp3-*) is_installed "$1" 1.8 ;;
    *) is_installed "$1" ;;
    esac
}

# Prints suite and address of this machine's own source of Debian. apt knows which of its sources that
# is: other archives use the same suite names.
debian_source() { # CODENAME
    local suite='' uri=''
    IFS='|' read -r suite uri < <(apt-get indextargets \
        --format '$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^Debian|$1|main|//p") || true
    [ -n "$uri" ] ||
        die "apt has no source of Debian $1 main here; add one to /etc/apt/sources.list and run this again"
    echo "$suite $uri"
}

# Writes this machine's own source of Debian $1, turned into one of its backports, to the folder $2. Every
# option of the source (Signed-By with a file or a key in place, Trusted, ...) stays as it is.
write_backports_source() { # CODENAME FOLDER
    local codename=$1 folder=$2 suite uri file source
    source=$(debian_source "$codename")
    read -r suite uri <<<"$source"

    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk -v suite="$suite" -v uri="${uri%/}" -v backports="$codename-backports" '
            function stanza(    i, n, all, found) {
                n = split(value["uris"], all, " ")
                for (i = 1; i <= n; i++) { sub(/\/$/, "", all[i]); if (all[i] == uri) found = 1 }
                if (!done && found && value["enabled"] != "no" && (" " value["types"] " ") ~ / deb / &&
                    index(" " value["suites"] " ", " " suite " ") &&
                    (" " value["components"] " ") ~ / main /) {
                    printf "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n%s", uri, backports, others
                    done = 1
                }
                split("", value); others = ""
            }
            BEGIN { known = "^(types|uris|suites|components|enabled)$" }
            /^#/ { next }
            /^[ \t]*$/ { stanza(); next }
            /^[ \t]/ { if (name ~ known) value[name] = value[name] $0; else others = others $0 "\n"; next }
            { name = tolower($0); sub(/:.*/, "", name); text = $0; sub(/^[^:]*:[ \t]*/, "", text) }
            name ~ known { value[name] = text; next }
            { others = others $0 "\n" }
            END { stanza() }' "$file" >"$folder/backports.sources"
        [ ! -s "$folder/backports.sources" ] || return 0
    done
    rm -f "$folder/backports.sources"

    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk -v suite="$suite" -v uri="${uri%/}" -v backports="$codename-backports" '
            !done && $1 == "deb" {
                options = ""
                if (match($0, /\[[^]]*\]/)) {
                    options = substr($0, RSTART, RLENGTH) " "
                    $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
                }
                sub(/\/$/, "", $2)
                if ($2 == uri && $3 == suite) { print "deb " options uri " " backports " main"; done = 1 }
            }' "$file" >"$folder/backports.list"
        [ ! -s "$folder/backports.list" ] || return 0
    done
    die "apt reads Debian $codename from $uri, but no file below /etc/apt says so; add that source to /etc/apt/sources.list and run this again"
}

apt_folder=''  # sources and pins of the apt call under way
policy_file='' # refuses to start services meanwhile

undo_apt_changes() {
    [ -z "$apt_folder" ] || rm -rf "$apt_folder"
    [ -z "$policy_file" ] || as_root rm -f "$policy_file"
    apt_folder='' policy_file=''
}

# Fills apt_options with those that add the backports to apt for one call.
allow_backports() {
    local codename=${backports%-backports}
    apt_folder=$(mktemp -d)
    mkdir "$apt_folder/only" "$apt_folder/sources.list.d" "$apt_folder/preferences.d"
    cp -a /etc/apt/sources.list.d/. "$apt_folder/sources.list.d/"
    [ ! -d /etc/apt/preferences.d ] || cp -a /etc/apt/preferences.d/. "$apt_folder/preferences.d/"
    cat >"$apt_folder/preferences.d/00-backports" <<EOF
Package: ${backported[*]}
Pin: release n=$backports
Pin-Priority: 990

Package: *
Pin: release n=$backports
Pin-Priority: -1
EOF
    apt_options=(-o "Dir::Etc::SourceParts=$apt_folder/sources.list.d"
                 -o "Dir::Etc::PreferencesParts=$apt_folder/preferences.d")
    say "only ${backported[*]} may come from $backports, and only in this run"
    if ! apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' | grep -qx "$backports"; then
        write_backports_source "$codename" "$apt_folder/only"
        cp "$apt_folder"/only/* "$apt_folder/sources.list.d/"
        chmod -R a+rX "$apt_folder" # apt fetches as the user _apt
        as_root apt-get update -q -o Dir::Etc::SourceList=/dev/null \
            -o "Dir::Etc::SourceParts=$apt_folder/only" -o APT::Get::List-Cleanup=0 >&2
    fi
    chmod -R a+rX "$apt_folder"
}

# Debian starts a server when its package is installed. A test must not open an SSH or a web server
# on somebody's laptop, so nothing is started now; disable_services() keeps it so.
keep_services_stopped() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    policy_file=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy_file" >/dev/null
    as_root chmod 755 "$policy_file"
}

installed_services() {
    local service
    for service in "${services[@]}"; do
        [ ! -e "/lib/systemd/system/$service.service" ] || echo "$service"
    done
}

disable_services() { # those that were there before
    local service
    [ -d /run/systemd/system ] || return 0
    for service in $(installed_services); do
        [[ " $* " == *" $service "* ]] || as_root systemctl --quiet disable "$service"
    done
}

# Installs what is missing of the given packages. Nothing missing: nothing is done, no mirror is asked.
install_packages() { # PACKAGE...
    local package packages=("$@") missing=() apt_options=() services_before=()
    for package in "${packages[@]}"; do
        is_satisfied "$package" || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "all ${#packages[@]} packages are installed already"
        return 0
    fi

    say "installing ${missing[*]}"
    trap undo_apt_changes EXIT
    as_root apt-get update -q >&2 || die "apt-get update failed; the reason stands above"
    for package in "${backported[@]}"; do
        if [[ " ${missing[*]} " == *" $package "* ]]; then
            allow_backports
            break
        fi
    done
    mapfile -t services_before < <(installed_services)
    keep_services_stopped
    as_root env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -q -y \
        --no-install-recommends "${missing[@]}" >&2 ||
        die "apt could not install ${missing[*]}; the reason stands above"
    disable_services "${services_before[@]}"
    undo_apt_changes
    trap - EXIT

    for package in "${packages[@]}"; do
        is_satisfied "$package" ||
            die "$package is missing or too old after the installation; 'apt-cache policy $package' shows why"
    done
}
