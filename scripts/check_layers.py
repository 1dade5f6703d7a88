#!/usr/bin/env python3
"""Checks the layer rule: which folder may include, and link, which.

usage: check_layers.py [ROOT]
Reads #include lines of *.hpp and *.cpp, and the links in each folder's CMakeLists.txt.
Prints file:line: reason for each offence; exit 1 if there is one.
"""
import pathlib
import re
import sys

# What a folder may use beside itself. `storage:ports` is storage/ without its adapters (RocksDB, Kafka): tests and
# simulations of what uses only ports link neither.
ANY = {"*"}
MAY_USE = {
    "market": set(),
    "schemas": {"market"},
    "feeds": {"market", "schemas"},
    "storage": {"market", "schemas"},
    # Rows are said in the API's JSON, through the tape's Kafka client.
    "sinks": {"market", "schemas", "storage", "api"},
    "replay": {"market", "schemas", "storage:ports"},
    "telemetry": {"market"},
    "actors": {"market", "schemas", "storage:ports", "sinks:ports", "replay", "telemetry"},
    "api": {"market", "telemetry"},
    "config": {"market"},
    "web": set(),
    "apps": ANY,
    "bench": ANY,
    "chaos": ANY,
    "tests": ANY,
}
ADAPTER = re.compile(r"rocksdb|kafka", re.IGNORECASE)

# Who may use which library: by the first part of an <include>. Folders with ANY may use all of them.
LIBRARY_USERS = {
    "caf": {"actors"},
    "rocksdb": {"storage"},
    "librdkafka": {"storage", "sinks"},
    "capnp": {"schemas"},
    "kj": {"schemas"},
    "simdjson.h": {"schemas", "feeds"},
    "boost": {"api", "feeds"},
    "openssl": {"api", "feeds"},
    "prometheus": {"telemetry"},
    "toml++": {"config"},
    "CLI": set(),
    "nlohmann": {"api", "telemetry"},
    "spdlog": {"actors", "api", "storage", "sinks"},
    "fmt": {"actors", "api", "storage", "sinks", "feeds", "replay", "telemetry", "config", "schemas"},
    "date": {"feeds", "api", "replay", "config"},
    "zlib.h": {"feeds"},
    "zstd.h": {"feeds"},
    "catch2": set(),
    "rapidcheck.h": set(),
    "benchmark": set(),
}
# market/ is the narrowest: the standard library (a name without dot or slash) and these. Vector instructions are for
# integers only, which check_market.py sees to.
MARKET_LIBRARIES = {"xxhash.h", "tl/expected.hpp", "immintrin.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CMAKE_COMMAND = re.compile(r"\b(\w+)\s*\(([^()]*)\)")
DEFINES = {"tapedeck_folder", "add_library", "add_executable"}


def allowed(folder: str, used: str, is_adapter: bool) -> bool:
    may = MAY_USE[folder]
    if used == folder or may == ANY or used in may:
        return True
    return f"{used}:ports" in may and not is_adapter


def check_include(folder: str, quoted: str | None, angled: str | None):
    name = quoted or angled or ""
    first = name.split("/")[0]
    if "/" in name and first in MAY_USE:
        if not allowed(folder, first, bool(ADAPTER.search(name))):
            return f"{folder}/ may not include {name}"
    elif angled:
        if folder == "market":
            if name not in MARKET_LIBRARIES and re.search(r"[./]", name):
                return f"market/ may use the standard library, xxhash and tl::expected alone, not <{name}>"
        elif first in LIBRARY_USERS and MAY_USE[folder] != ANY and folder not in LIBRARY_USERS[first]:
            return f"{folder}/ may not use <{name}>"
    return None


def cmake_commands(path: pathlib.Path):
    """(line, command, arguments) of each command that names a target."""
    text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
    for match in CMAKE_COMMAND.finditer(text):
        arguments = match.group(2).split()
        if arguments:
            yield text.count("\n", 0, match.start()) + 1, match.group(1), arguments


def links(command: str, arguments: list[str]) -> list[str]:
    if command == "target_link_libraries":
        return [a for a in arguments[1:] if a not in {"PUBLIC", "PRIVATE", "INTERFACE"}]
    if command == "tapedeck_folder" and "LINKS" in arguments:
        after = arguments[arguments.index("LINKS") + 1:]
        return after[:after.index("SOURCES")] if "SOURCES" in after else after
    return []


def check_links(root: pathlib.Path, folders: list[str]):
    lists = {f: root / f / "CMakeLists.txt" for f in folders if f != "tests"}
    lists = {f: p for f, p in lists.items() if p.exists()}
    home = {}
    for folder, path in lists.items():
        for _, command, arguments in cmake_commands(path):
            if command in DEFINES:
                home[arguments[0]] = folder
    for folder, path in lists.items():
        for line, command, arguments in cmake_commands(path):
            # An adapter's own target may link its library; what it links of ours is checked like all else.
            for used in links(command, arguments):
                target_folder = home.get(used)
                if target_folder and not allowed(folder, target_folder, bool(ADAPTER.search(used))):
                    yield path, line, f"{arguments[0]} of {folder}/ may not link {used} of {target_folder}/"


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    folders = [f for f in MAY_USE if (root / f).is_dir()]
    if not folders:
        print(f"{root}: none of the project's folders is here")
        return 1
    bad = 0
    for folder in folders:
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in {".hpp", ".cpp"}):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                reason = check_include(folder, *match.groups()) if match else None
                if reason:
                    print(f"{path.relative_to(root)}:{number}: {reason}")
                    bad += 1
    for path, line, reason in check_links(root, folders):
        print(f"{path.relative_to(root)}:{line}: {reason}")
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
