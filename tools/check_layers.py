#!/usr/bin/env python3
"""Checks that the rooms of docs/architecture.md stay apart.

    check_layers.py [ROOT]       checks the repository, after its own self-test
    check_layers.py --self-test  breaks each rule once in a small tree and expects the complaint

The rooms and what each may include come from the narrowlink_room() lines of CMakeLists.txt. A
complaint is one line: file:line: what is wrong.
"""

import re
import sys
import tempfile
from pathlib import Path

ROLES = {"gateway", "agent", "client"}

# Sans-IO: time, randomness and bytes come in as arguments.
CORES = {"base", "wire", "crypto", "access", "control", "nat", "quic", "path", "direct", "relay", "netstack"}

INCLUDES_NOT_IN_CORES = re.compile(
    r"boost/(asio|beast)|spdlog/|(sys|net|netinet|linux)/|"
    r"(arpa/inet|netdb|unistd|fcntl|poll|pthread|signal|time)\.h$|"
    r"(thread|mutex|shared_mutex|condition_variable|future|random|iostream|fstream|csignal|ctime)$"
)
WORDS_NOT_IN_CORES = re.compile(
    r"\b(getenv|secure_getenv|random_device|spdlog|this_thread|clock_gettime|gettimeofday|usleep|"
    r"nanosleep|(?:steady|system|high_resolution|utc)_clock::now|std::time|std::c(?:out|err|in))\b"
)
# The operating system's random numbers: crypto::SystemRandom is where programs get them.
RANDOM_ONLY_IN_CRYPTO = re.compile(r"\b(RAND_bytes|RAND_priv_bytes|getrandom|getentropy|gnutls_rnd)\b")

EXCEPTIONS = {
    # inet_pton(3) and inet_ntop(3) only rewrite text; nothing is opened.
    ("base/address.cpp", "arpa/inet.h"),
    # ngtcp2 names paths by sockaddr; ours are made up, one per carrier.
    ("quic/connection_impl.cpp", "netinet/in.h"),
}

# Libraries that only some rooms may know.
LIBRARIES = {
    "yaml-cpp/": {"config"},
    "spdlog/": {"io"},
    "ngtcp2/": {"quic"},
    "nghttp3/": {"quic"},
    "gnutls/": {"quic"},
    "miniupnpc/": {"io"},
    "natpmp.h": {"io"},
}

LONGEST_FILE = 800
LONGEST_MAIN = 99

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SPACE_FOR_CODE = re.compile(
    r"""R"\((?:.|\n)*?\)"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'"""
)


class Checker:
    def __init__(self, root):
        self.root = root
        self.complaints = []
        self.rooms = self.read_rooms()

    def complain(self, path, line, text):
        self.complaints.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def read_rooms(self):
        """Each room with all that it may include, directly or through another room."""
        path = self.root / "CMakeLists.txt"
        direct = {}
        for call in re.finditer(r"^narrowlink_room\(([^)]*)\)", path.read_text(), re.MULTILINE):
            name, *rest = call.group(1).split()
            words = " ".join(rest).replace("COROUTINES", "").split("LIBRARIES")[0].split()
            direct[name] = set(words[1:]) if words[:1] == ["ROOMS"] else set()
        if not direct:
            self.complain(path, 1, "no narrowlink_room() found")
        closed = {}

        def close(name, above):
            if name in above:
                self.complain(path, 1, f"room {name} may include itself through {' '.join(above)}")
                return set()
            if name not in closed:
                closed[name] = {name}.union(*(close(r, above + [name]) for r in direct.get(name, ())))
            return closed[name]

        for name in direct:
            allowed = close(name, [])
            for unknown in sorted(direct[name] - direct.keys()):
                self.complain(path, 1, f"room {name} names the unknown room {unknown}")
            for role in sorted((allowed & ROLES) - {name}):
                self.complain(path, 1, f"room {name} may include the role {role}; roles are at the top")
            if name in CORES and not allowed <= CORES:
                self.complain(path, 1, f"core {name} may include {', '.join(sorted(allowed - CORES))}")
        return closed

    def check(self):
        for folder in ("src", "include/narrowlink"):
            for room in sorted(p for p in (self.root / folder).glob("*") if p.is_dir()):
                if room.name not in self.rooms and any(room.rglob("*.[ch]pp")):
                    self.complain(room, 1, "no narrowlink_room() names this folder")
                for path in sorted(room.rglob("*.[ch]pp")):
                    self.check_room_file(path, room.name, folder != "src")
        for path in sorted((self.root / "apps").glob("*.cpp")):
            self.check_app(path)
        for folder in ("src", "include", "tests", "bench", "tools"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in (".cpp", ".hpp", ".py"):
                    self.check_length(path, LONGEST_FILE)
        return self.complaints

    def check_length(self, path, most):
        lines = len(path.read_text(errors="replace").splitlines())
        if lines > most:
            self.complain(path, most + 1, f"{lines} lines, at most {most} are allowed")

    def includes(self, path):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := INCLUDE.match(line):
                yield number, match.group(1), match.group(2)

    def check_room_file(self, path, room, is_public):
        for number, quote, target in self.includes(path):
            self.check_include(path, number, room, target)
            if not target.startswith("narrowlink/") and quote == '"':
                if is_public or ".." in Path(target).parts:
                    self.complain(path, number, f"{target} is private to a room")
                elif not (path.parent / target).exists():
                    self.complain(path, number, f"{target} is not in this room")
        if room in CORES:
            self.check_core_words(path, room)

    def check_include(self, path, number, room, target):
        parts = target.split("/")
        if parts[0] == "narrowlink" and len(parts) > 2:
            if parts[1] not in self.rooms.get(room, {room}):
                self.complain(path, number, f"room {room} must not include room {parts[1]}")
        for library, owners in LIBRARIES.items():
            if target.startswith(library) and room not in owners:
                self.complain(path, number, f"only {', '.join(sorted(owners))} may include <{target}>")
        name = f"{room}/{path.name}"
        if room in CORES and INCLUDES_NOT_IN_CORES.match(target) and (name, target) not in EXCEPTIONS:
            self.complain(path, number, f"core {room} must not include <{target}>")

    def check_core_words(self, path, room):
        blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
        code = SPACE_FOR_CODE.sub(blank, path.read_text(errors="replace"))
        for number, line in enumerate(code.splitlines(), 1):
            if match := WORDS_NOT_IN_CORES.search(line):
                self.complain(path, number, f"core {room} must not use {match.group(1)}")
            if room != "crypto" and (match := RANDOM_ONLY_IN_CRYPTO.search(line)):
                self.complain(path, number, f"only crypto may use {match.group(1)}")

    def check_app(self, path):
        role = path.stem.removeprefix("narrowlink_")
        allowed = self.rooms.get(role, set())
        for number, _, target in self.includes(path):
            parts = target.split("/")
            if parts[0] == "narrowlink" and parts[1] not in allowed:
                self.complain(path, number, f"the {role} program must not include room {parts[1]}")
        self.check_length(path, LONGEST_MAIN)


SMALL_TREE = {
    "CMakeLists.txt": "narrowlink_room(base)\nnarrowlink_room(wire ROOMS base LIBRARIES x)\n"
    "narrowlink_room(io ROOMS base)\nnarrowlink_room(drive ROOMS io\n  wire)\n"
    "narrowlink_room(agent ROOMS drive)\nnarrowlink_room(client ROOMS drive)\n",
    "src/base/address.cpp": "#include <arpa/inet.h>\n",
    "src/wire/frame.cpp": '#include "narrowlink/wire/frame.hpp"\n#include "own.hpp"\n'
    '// std::getenv and steady_clock::now() are for others\nauto text = "std::random_device";\n',
    "src/wire/own.hpp": "#pragma once\n",
    "include/narrowlink/wire/frame.hpp": '#include "narrowlink/base/bytes.hpp"\n#include <array>\n',
    "src/io/clock.cpp": "#include <thread>\nauto t = std::chrono::steady_clock::now();\n",
    "src/agent/agent.cpp": '#include "narrowlink/wire/frame.hpp"\n#include "narrowlink/io/x.hpp"\n',
    "apps/narrowlink_agent.cpp": '#include "narrowlink/agent/a.hpp"\n' + "\n" * 98,
}

# A file of the small tree, what is appended to it, and the complaint that must follow.
BREAKS = [
    ("src/wire/frame.cpp", '#include "narrowlink/io/clock.hpp"', "room wire must not include room io"),
    ("include/narrowlink/wire/frame.hpp", "#include <boost/asio/buffer.hpp>", "core wire must not"),
    ("src/wire/frame.cpp", "#include <boost/asio.hpp>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <sys/socket.h>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <arpa/inet.h>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <thread>", "core wire must not include"),
    ("src/wire/frame.cpp", "  #  include <mutex>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <random>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <iostream>", "core wire must not include"),
    ("src/wire/frame.cpp", "#include <spdlog/spdlog.h>", "only io may include"),
    ("src/wire/frame.cpp", 'auto* h = std::getenv("HOME");', "must not use getenv"),
    ("src/wire/frame.cpp", "auto n = std::chrono::steady_clock::now();", "must not use steady_clock::now"),
    ("src/wire/frame.cpp", "auto n = system_clock::now();", "must not use system_clock::now"),
    ("src/wire/frame.cpp", "std::random_device seed;", "must not use random_device"),
    ("src/wire/frame.cpp", "RAND_bytes(p, 8);", "only crypto may use RAND_bytes"),
    ("src/base/address.cpp", "#include <netinet/in.h>", "core base must not include"),
    ("src/agent/agent.cpp", '#include "narrowlink/client/client.hpp"', "must not include room client"),
    ("src/agent/agent.cpp", '#include "../client/own.hpp"', "is private to a room"),
    ("src/agent/agent.cpp", '#include "missing.hpp"', "is not in this room"),
    ("include/narrowlink/wire/frame.hpp", '#include "own.hpp"', "is private to a room"),
    ("src/io/clock.cpp", "#include <yaml-cpp/yaml.h>", "only config may include"),
    ("src/io/clock.cpp", "\n" * 800, "at most 800"),
    ("src/stray/stray.cpp", "", "no narrowlink_room() names this folder"),
    ("apps/narrowlink_agent.cpp", "\n", "at most 99"),
    ("apps/narrowlink_agent.cpp", '#include "narrowlink/client/c.hpp"', "must not include room client"),
    ("CMakeLists.txt", "narrowlink_room(gateway ROOMS agent)", "may include the role agent"),
    ("CMakeLists.txt", "narrowlink_room(relay ROOMS io)", "core relay may include io"),
    ("CMakeLists.txt", "narrowlink_room(relay ROOMS bsae)", "unknown room bsae"),
    ("CMakeLists.txt", "narrowlink_room(a ROOMS b)\nnarrowlink_room(b ROOMS a)", "may include itself"),
]


def complaints_of(tree):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tree.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Checker(Path(folder)).check()


def self_test():
    """True when a good tree passes and each broken one is found, at the line that breaks it."""
    failures = [f"a good tree is refused: {c}" for c in complaints_of(SMALL_TREE)]
    for name, text, expected in BREAKS:
        before = SMALL_TREE.get(name, "")
        found = complaints_of({**SMALL_TREE, name: f"{before}{text}\n"})
        line = 1 if name == "CMakeLists.txt" or not before else before.count("\n") + 1
        at_its_place = f"{name}:{line}: " if text.strip() else ""
        if not any(c.startswith(at_its_place) and expected in c for c in found):
            failures.append(f"{name} with {text.strip()[:50]!r}: expected {expected!r}, got {found}")
    for failure in failures:
        print(f"self-test: {failure}", file=sys.stderr)
    return not failures


def main(arguments):
    if not self_test():
        return 1
    if arguments == ["--self-test"]:
        print(f"self-test: {len(BREAKS)} broken trees were found out")
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    complaints = Checker(root).check()
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
