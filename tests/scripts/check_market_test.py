"""check_market.py finds what may not be in market/, and nothing else."""
import unittest

from planted import run, tree


def check(code: str) -> tuple[int, str]:
    with tree({"market/planted.cpp": code}) as root:
        return run("check_market.py", root / "market")


class CheckMarket(unittest.TestCase):
    def test_market_itself_is_pure(self):
        status, output = run("check_market.py")
        self.assertEqual(status, 0, output)

    def test_what_is_banned_is_found_with_its_line(self):
        for code in [
            "#include <chrono>",
            "#include <unordered_map>",
            "#include <random>",
            "#include <cmath>",
            "auto t = std::chrono::steady_clock::now();",
            "auto t = time(nullptr);",
            "auto t = std::time(nullptr);",
            "double mean = 0;",
            "auto half = static_cast<float>(1);",
            "auto x = n * 0.5;",
            "auto x = 1e9;",
            "__m256d x;",
            "auto x = _mm256_add_pd(a, b);",
            "auto x = 1'000.0;",
            "std::unordered_map<int, int> m;",
            "std::mt19937 g;",
            "int x = rand();",
            "std::thread t;",
            "std::mutex m;",
            "thread_local int x;",
            "std::map<const Order*, int> m;",
            "std::set<Order*> s;",
            "std::set<int, std::less<Order*>> s;",
            "__int128 sum;",
            "std::cout << 1;",
            "auto h = std::hash<int>{}(1);",
            "char c = '\\''; double d;",
            'auto s = "text"; float f;',
        ]:
            with self.subTest(code):
                status, output = check(f"// first line\n{code}\n")
                self.assertEqual(status, 1, output)
                self.assertIn("planted.cpp:2: ", output)

    def test_what_is_allowed_is_not_reported(self):
        status, output = check("""\
// a double in a comment, std::chrono too, and 0.5
/* float
   double */
#include <map>
#include <cstdint>
const char* text = "double 1.5 \\" float";
const char* raw = R"x(unordered_map " )x";
std::int64_t n = 1'000'000, hex = 0x1e9, shifted = 1 << 4;
char quote = '"';
__m256i keys = _mm256_cmpgt_epi64(a, b);
int mask = _mm256_movemask_pd(_mm256_castsi256_pd(keys));
std::map<std::uint64_t, Order*> by_id;
std::int64_t f(const Event& event) { return event.time + state.time() + doubled(event.feed_time); }
""")
        self.assertEqual(status, 0, output)

    def test_a_folder_without_sources_is_an_error(self):
        with tree({"market/README.md": ""}) as root:
            self.assertEqual(run("check_market.py", root / "market")[0], 1)


if __name__ == "__main__":
    unittest.main()
