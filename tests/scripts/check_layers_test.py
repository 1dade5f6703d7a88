"""check_layers.py finds includes and links against the layer rule."""
import unittest

from planted import run, tree


def check(files: dict[str, str]) -> tuple[int, str]:
    with tree(files) as root:
        return run("check_layers.py", root)


class CheckLayers(unittest.TestCase):
    def test_the_project_keeps_the_rule(self):
        status, output = run("check_layers.py")
        self.assertEqual(status, 0, output)

    def test_a_wrong_include_is_found_with_its_line(self):
        for path, include in [
            ("market/a.hpp", '"storage/tape.hpp"'),
            ("market/a.cpp", "<caf/all.hpp>"),
            ("market/a.cpp", "<fmt/format.h>"),
            ("schemas/a.hpp", '"replay/player.hpp"'),
            ("replay/a.cpp", '"storage/rocksdb_tape.hpp"'),
            ("actors/a.cpp", '"storage/kafka_tape.hpp"'),
            ("replay/a.cpp", "<rocksdb/db.h>"),
            ("api/a.cpp", '"storage/tape.hpp"'),
            ("storage/a.cpp", "<boost/asio.hpp>"),
            ("feeds/a.cpp", "<caf/all.hpp>"),
            ("replay/a.cpp", '"apps/cli.hpp"'),
        ]:
            with self.subTest(path=path, include=include):
                status, output = check({path: f"#pragma once\n\n#include {include}\n"})
                self.assertEqual(status, 1, output)
                self.assertIn(f"{path}:3: ", output)

    def test_a_right_include_is_not_reported(self):
        status, output = check({
            "market/a.cpp": '#include <map>\n#include <xxhash.h>\n#include <immintrin.h>\n#include <tl/expected.hpp>\n#include "market/a.hpp"\n',
            "storage/rocksdb_tape.cpp": '#include <rocksdb/db.h>\n#include "market/a.hpp"\n',
            "replay/a.cpp": '#include "storage/tape.hpp"\n#include "storage/memory_tape.hpp"\n',
            "actors/a.cpp": '#include <caf/all.hpp>\n#include "replay/a.hpp"\n',
            "apps/a.cpp": '#include "storage/rocksdb_tape.hpp"\n#include <CLI/CLI.hpp>\n',
            "tests/actors/a.cpp": '#include "storage/rocksdb_tape.hpp"\n',
        })
        self.assertEqual(status, 0, output)

    def test_a_wrong_link_is_found(self):
        storage = "tapedeck_folder(storage SOURCES a.cpp LINKS market)\n" \
                  "tapedeck_folder(storage_rocksdb SOURCES b.cpp LINKS storage RocksDB::rocksdb-shared)\n"
        market = "tapedeck_folder(market\n  SOURCES a.cpp\n)\n"
        good = {"market/CMakeLists.txt": market, "storage/CMakeLists.txt": storage,
                "replay/CMakeLists.txt": "tapedeck_folder(replay SOURCES a.cpp LINKS market storage)\n"}
        status, output = check(good)
        self.assertEqual(status, 0, output)
        for path, text, line in [
            ("market/CMakeLists.txt", market + "target_link_libraries(market PRIVATE storage)\n", 4),
            ("market/CMakeLists.txt", "tapedeck_folder(market SOURCES a.cpp\n  LINKS storage)\n", 1),
            ("replay/CMakeLists.txt", "tapedeck_folder(replay SOURCES a.cpp LINKS storage_rocksdb)\n", 1),
        ]:
            with self.subTest(path=path, text=text):
                status, output = check({**good, path: text})
                self.assertEqual(status, 1, output)
                self.assertIn(f"{path}:{line}: ", output)

    def test_a_folder_that_is_no_checkout_is_an_error(self):
        self.assertEqual(check({"README.md": ""})[0], 1)


if __name__ == "__main__":
    unittest.main()
