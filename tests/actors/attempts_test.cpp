#include "actors/attempts.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

using namespace tapedeck;

namespace {

struct File {
  File() {
    char name[] = "/tmp/tapedeck-attempts-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder = name;
  }
  ~File() {
    (void)std::remove(path().c_str());
    (void)rmdir(folder.c_str());
  }
  [[nodiscard]] std::string path() const { return folder + "/attempts"; }
  std::string folder;
};

const market::FoldItem kEvent{{2, 1234, 7}, {}};
const market::FoldItem kDue{{2, 1300, 0},
                            market::DueItem{9, market::OutputKind::metrics, 60, -1234567}};

}  // namespace

TEST_CASE("three attempts at one item make a poison, over restarts", "[attempts]") {
  const File file;
  for (int restart = 0; restart < 3; ++restart) {
    const auto attempts = actors::Attempts::open(file.path()).value();
    CHECK_FALSE(attempts->poison("A B%"));
    attempts->add("A B%", kEvent, "broken\nbadly");
    attempts->add("OTHER", {{2, 1234, static_cast<std::uint32_t>(restart)}, {}}, "elsewhere");
  }
  const auto attempts = actors::Attempts::open(file.path()).value();
  const auto poison = attempts->poison("A B%");
  REQUIRE(poison);
  CHECK(poison->item == kEvent);
  CHECK(poison->errors == std::vector<std::string>(3, "broken badly"));
  CHECK(attempts->accused("OTHER"));
  CHECK_FALSE(attempts->poison("OTHER"));
}

TEST_CASE("a due item is another one than the event at its place", "[attempts]") {
  const File file;
  {
    const auto attempts = actors::Attempts::open(file.path()).value();
    for (int i = 0; i < 3; ++i) attempts->add("S", kDue, "late");
    attempts->add("S", {kDue.position, {}}, "event");
  }
  const auto poison = actors::Attempts::open(file.path()).value()->poison("S");
  REQUIRE(poison);
  CHECK(poison->item == kDue);
}

TEST_CASE("what was passed or settled accuses nobody any more, nor does a torn line",
          "[attempts]") {
  const File file;
  {
    const auto attempts = actors::Attempts::open(file.path()).value();
    for (int i = 0; i < 2; ++i) attempts->add("S", kEvent, "x");
    attempts->passed("S", kEvent.position.offset);  // not yet past it
    CHECK(attempts->accused("S"));
    attempts->passed("S", kEvent.position.offset + 1);
    CHECK_FALSE(attempts->accused("S"));
    attempts->add("T", kEvent, "x");
    attempts->settled("T", kEvent);
  }
  std::ofstream(file.path(), std::ios::app) << "U 1:2";
  const auto attempts = actors::Attempts::open(file.path()).value();
  CHECK(attempts->accused_symbols().empty());
}

TEST_CASE("what is put through only later is held against the symbol, whatever it folds meanwhile",
          "[attempts]") {
  const File file;
  const market::FoldItem other{{2, 1235, 0}, {}};
  {
    const auto attempts = actors::Attempts::open(file.path()).value();
    for (int i = 0; i < 2; ++i) {
      attempts->add("S", kEvent, "again");
      attempts->add("S", other, "once");
    }
    attempts->passed("S", 2000, std::span(&kEvent, 1));
  }
  const auto attempts = actors::Attempts::open(file.path()).value();
  attempts->add("S", other, "once");
  CHECK_FALSE(attempts->poison("S"));
  attempts->add("S", kEvent, "again");
  const auto poison = attempts->poison("S");
  REQUIRE(poison);
  CHECK(poison->item == kEvent);
}
