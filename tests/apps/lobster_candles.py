"""The candles of LOBSTER's AMZN day equal those that DuckDB computes from LOBSTER's own rows (executions of visible
and hidden orders: types 4 and 5).

usage: lobster_candles.py TAPEDECK   needs the Python packages of scripts/requirements.txt
"""

import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timezone

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "lobster"
DATE = "2012-06-21"
MIDNIGHT_NS = int(datetime(2012, 6, 21, 4, tzinfo=timezone.utc).timestamp()) * 10**9  # New York, summer
SECONDS = {"1s": 1, "10s": 10, "1m": 60, "30m": 1800}


def rows_of_duckdb(file, width_ns):
    """open time: (open, high, low, close in 10^-4, volume, buy volume, sell volume, trades, notional in 10^-4)."""
    import duckdb

    # Direction is the resting order's side: 1 a bid, so the aggressor sold. Of hidden ones too.
    found = duckdb.sql(f"""
        WITH trades AS (
          SELECT row_number() OVER () AS n,
                 {MIDNIGHT_NS}::BIGINT + split_part(t, '.', 1)::BIGINT * 1000000000
                   + rpad(split_part(t, '.', 2), 9, '0')::BIGINT AS ns,
                 kind, size, price, direction
          FROM read_csv('{file}', header=false, columns={{'t': 'VARCHAR', 'kind': 'INTEGER', 'id': 'BIGINT',
                        'size': 'BIGINT', 'price': 'BIGINT', 'direction': 'INTEGER'}})
          WHERE kind IN (4, 5))
        SELECT ns // {width_ns} * {width_ns} AS open_time,
               arg_min(price, (ns, n)), max(price), min(price), arg_max(price, (ns, n)),
               sum(size)::BIGINT,
               coalesce(sum(size) FILTER (direction = -1), 0)::BIGINT,
               coalesce(sum(size) FILTER (direction = 1), 0)::BIGINT,
               count(*), sum(price * size)::BIGINT
        FROM trades GROUP BY open_time ORDER BY open_time""").fetchall()
    return {row[0]: row[1:] for row in found}


def nanoseconds(text):
    whole, part = text.rstrip("Z").split(".")
    return int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()) * 10**9 + int(part)


def units(text, places):
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(places, "0"))


def rows_of_tapedeck(program, tape, width):
    out = subprocess.run([program, "candles", "--tape", tape, "--symbol", "AMZN", "--width", width, "--format", "json"],
                         check=True, capture_output=True, text=True).stdout
    prices = ("open", "high", "low", "close")
    return {nanoseconds(c["open_time"]): (*(units(c[name], 4) for name in prices), int(c["volume"]),
                                          int(c["buy_volume"]), int(c["sell_volume"]), c["trades"],
                                          units(c["notional"], 4)) for c in json.loads(out)}


def main():
    program = os.path.abspath(sys.argv[1])
    archives = sorted(glob.glob(str(DATA / "*AMZN*.zip")))
    if not archives:
        print(f"ABSENT: {DATA} has no AMZN day; nothing is compared")
        return 0
    with tempfile.TemporaryDirectory(prefix="tapedeck-duckdb-") as folder:
        zipfile.ZipFile(archives[0]).extractall(folder)
        file, = glob.glob(os.path.join(folder, "**", "*message*.csv"), recursive=True)
        tape = os.path.join(folder, "tape")
        subprocess.run([program, "record", "--feed", "lobster", "--input", file, "--date", DATE, "--tape", tape],
                       check=True, capture_output=True)
        subprocess.run([program, "config", "apply", "--tape", tape, "--set", "candles.widths=1s,10s,1m,30m"],
                       check=True, capture_output=True)
        subprocess.run([program, "tape", "index", "--tape", tape], check=True, capture_output=True)
        for width, seconds in SECONDS.items():
            expected, found = rows_of_duckdb(file, seconds * 10**9), rows_of_tapedeck(program, tape, width)
            wrong = [time for time in sorted(expected.keys() | found.keys()) if expected.get(time) != found.get(time)]
            for time in wrong[:5]:
                print(f"{width} at {time}: DuckDB {expected.get(time)}, tapedeck {found.get(time)}")
            if wrong or not expected:
                print(f"{width}: {len(wrong)} of {len(expected)} candles differ")
                return 1
            print(f"{width}: {len(expected)} candles equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
