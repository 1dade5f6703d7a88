#!/usr/bin/env python3
"""Checks that market/ is a pure fold: no clock, randomness, floating point, threads, I/O or hash order.

usage: check_market.py [FOLDER]      default: market, beside scripts/
Prints file:line: reason for each offence; exit 1 if there is one.
"""
import pathlib
import re
import sys

BANNED_HEADERS = {
    "a clock": "chrono ctime time.h sys/time.h",
    "randomness": "random",
    "I/O": "iostream fstream istream ostream sstream iomanip cstdio stdio.h print syncstream filesystem",
    "threads": "thread mutex shared_mutex atomic condition_variable future semaphore latch barrier stop_token",
    "hash order": "unordered_map unordered_set",
    "floating point": "cmath math.h cfloat float.h complex valarray numbers",
    "the environment": "cstdlib stdlib.h unistd.h locale clocale",
}
HEADER_REASON = {h: reason for reason, headers in BANNED_HEADERS.items() for h in headers.split()}

BANNED_CODE = [
    (r"\b(?:double|float|_Float\d+|__float128)\b", "floating point type"),
    (r"(?<![\w.])(?:\d[\d']*\.[\d']*|\.\d[\d']*)(?:[eE][+-]?\d+)?[fFlL]?|(?<![\w.])\d[\d']*[eE][+-]?\d+",
     "floating point literal"),
    (r"\b__m(?:64|128|256|512)d?\b|\b_mm\d*_(?!movemask_|cast)\w+_[ps][sdh]\b",
     "floating point vector"),  # movemask and casts move bits only
    (r"\bstd::(?:sto[fd]|strto[fd]|ato[f])\b", "floating point conversion"),
    (r"\bchrono\b|\b(?:system|steady|high_resolution)_clock\b", "a clock"),
    (r"(?<![\w.>])(?:std::)?(?:time|clock|gettimeofday|clock_gettime|localtime|gmtime|mktime|strftime)\s*\(",
     "a clock or time function"),
    (r"\b(?:timespec|timeval|time_t|__rdtsc)\b", "a clock or time function"),
    (r"\b(?:s?rand|random)\s*\(|\b(?:random_device|mt19937(?:_64)?|default_random_engine)\b|\b\w+_distribution\b",
     "randomness"),
    (r"\b(?:this_thread|thread_local|jthread)\b|\bstd::(?:thread|mutex|atomic\w*|async|future)\b", "threads"),
    (r"\bunordered_\w+", "hash order: an unordered container"),
    (r"\bstd::hash\b", "hash order: std::hash differs between libraries"),
    (r"\bstd::(?:cin|cout|cerr|clog)\b|\b(?:printf|fprintf|puts|fopen)\s*\(", "I/O"),
    (r"\bgetenv\b", "the environment"),
    (r"\b__int128\b", "a raw 128-bit integer: use Int128 of market/units.hpp"),
    (r"\b(?:map|set|multimap|multiset|flat_map|flat_set)\s*<\s*[^<>,]*\*\s*(?:const\s*)?[,>]",
     "address order: an ordered container with pointers as keys"),
    (r"\bless\s*<\s*[^<>]*\*\s*>|\buintptr_t\b", "address order: addresses compared or used as numbers"),
]
CODE = [(re.compile(pattern), reason) for pattern, reason in BANNED_CODE]
INCLUDE = re.compile(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]")
# Comments, strings (raw ones too) and characters; a quote inside a number is a digit separator.
NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|R\"(?P<d>[^(\s]*)\(.*?\)(?P=d)\"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)


def code_only(text: str) -> str:
    """The text with comments and literals blanked, lines kept."""
    return NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def offences(path: pathlib.Path):
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        include = INCLUDE.match(line)
        if include and include.group(1) in HEADER_REASON:
            yield number, f"#include <{include.group(1)}>: {HEADER_REASON[include.group(1)]}"
    for number, line in enumerate(code_only(text).splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for pattern, reason in CODE:
            found = pattern.search(line)
            if not found or (path.name == "units.hpp" and found.group() == "__int128"):
                continue
            yield number, f"`{found.group().strip()}`: {reason}"


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "market"
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".hpp", ".cpp", ".h", ".ipp"})
    if not files:
        print(f"{folder}: no source files to check")
        return 1
    bad = 0
    for path in files:
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        for number, reason in offences(path):
            print(f"{shown}:{number}: {reason}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
