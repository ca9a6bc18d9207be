// Aim: a package is read as it was written or refused with what, where and how to mend; a file of
// it is read where it lies; packages of format 1 go on being read. Method: folders written here,
// each spoiled in one way; digests are compared with those of sha256sum, format 1 is a folder that
// the last version to write it has left.
#include "models/package.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace qw::models {
namespace {

namespace fs = std::filesystem;

// As printed by `printf '...' | sha256sum`.
constexpr const char* kSumOfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class PackageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (fs::temp_directory_path() / ("qw_package_" + std::to_string(::getpid()))).string();
    fs::remove_all(root_);
    folder_ = root_ + "/models/fraud/3";
  }
  void TearDown() override { fs::remove_all(root_); }

  static Package sample() {
    Package package;
    package.model = "fraud";
    package.version = 3;
    package.kind = "linear";
    package.created_us = 77;
    package.settings = R"({"link":"logistic"})";
    package.inputs = schema::Schema({{"spent", schema::Type{schema::Kind::kDecimal, 12, 2}},
                                     {"amount", schema::kDouble},
                                     {"country", schema::kString}});
    package.outputs = schema::Schema({{"score", schema::kDouble}, {"class", schema::kInt64}});
    package.metrics = R"({"auc":0.91})";
    package.lineage = R"({"run_id":"7"})";
    package.profile = R"({"count":10})";
    package.artefacts = {Artefact::of("weights.json", "abc"), Artefact::of("empty", ""),
                         Artefact::of("trees.bin", std::string(70'000, '\x7f'))};
    return package;
  }
  void write(const Package& package = sample()) const {
    fs::remove_all(folder_);
    const auto written = write_package(folder_, package);
    ASSERT_TRUE(written.ok()) << written.error().to_string();
  }
  Error refusal() const {
    const auto read = read_package(folder_);
    if (read.ok()) return {ErrorCode::kInternal, "it was read", "", ""};
    EXPECT_FALSE(read.error().how_to_mend.empty());
    return read.error();
  }
  void expect_corrupt(const std::string& where, const std::string& what) const {
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << error.to_string();
    EXPECT_TRUE(error.where.ends_with(where)) << error.to_string();
    EXPECT_NE(error.message.find(what), std::string::npos) << error.to_string();
  }
  // Writes a manifest of our own with its seal, as whoever means harm would.
  void reseal(const std::function<void(nlohmann::json&)>& spoil) const {
    auto manifest = nlohmann::json::parse(read_file(folder_ + "/manifest.json").value());
    spoil(manifest);
    const std::string text = manifest.dump();
    std::ofstream(folder_ + "/manifest.json") << text;
    std::ofstream(folder_ + "/manifest.json.sha256") << sha256_hex(text) << "  manifest.json\n";
  }

  std::string root_, folder_;
};

TEST_F(PackageTest, ComesBackAsWritten) {
  write();
  const auto read = read_package(folder_);
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  const Package wanted = sample();
  EXPECT_EQ(read->format, 2);
  EXPECT_EQ(read->model, wanted.model);
  EXPECT_EQ(read->version, wanted.version);
  EXPECT_EQ(read->kind, wanted.kind);
  EXPECT_EQ(read->created_us, wanted.created_us);
  EXPECT_EQ(read->settings, wanted.settings);
  EXPECT_EQ(read->inputs, wanted.inputs) << "names, types and their order";
  EXPECT_EQ(read->outputs, wanted.outputs);
  EXPECT_EQ(read->metrics, wanted.metrics);
  EXPECT_EQ(read->lineage, wanted.lineage);
  EXPECT_EQ(read->profile, wanted.profile);
  ASSERT_EQ(read->artefacts.size(), 3u);
  for (const Artefact& artefact : wanted.artefacts) {
    const Artefact* found = read->artefact(artefact.name());
    ASSERT_NE(found, nullptr) << artefact.name();
    EXPECT_EQ(found->bytes(), artefact.bytes());
  }
  EXPECT_EQ(read->artefact("weights.json")->sha256(), kSumOfAbc);
  EXPECT_EQ(read->artefact("weights"), nullptr);
  EXPECT_EQ(content_digest(*read), content_digest(wanted));
  EXPECT_EQ(write_package(folder_, wanted).error().code, ErrorCode::kConflict);
}

TEST_F(PackageTest, EverythingThatMakesTheScoresIsInItsDigest) {
  const auto changed = [](const std::function<void(Package&)>& change) {
    Package package = sample();
    change(package);
    return content_digest(package) != content_digest(sample());
  };
  EXPECT_TRUE(changed([](Package& p) { p.kind = "trees"; }));
  EXPECT_TRUE(changed([](Package& p) { p.settings = "{}"; }));
  EXPECT_TRUE(changed([](Package& p) { p.profile = "{}"; }));
  EXPECT_TRUE(changed([](Package& p) { p.artefacts[0] = Artefact::of("weights.json", "abd"); }));
  EXPECT_TRUE(changed([](Package& p) { p.artefacts[0] = Artefact::of("weights.txt", "abc"); }));
  EXPECT_TRUE(changed([](Package& p) { p.artefacts.pop_back(); }));
  EXPECT_TRUE(changed([](Package& p) {
    p.outputs = schema::Schema({{"score", schema::kDouble}});
  }));
  EXPECT_TRUE(changed([](Package& p) {
    auto fields = p.inputs.fields();
    std::swap(fields[0], fields[1]);
    p.inputs = schema::Schema(fields);
  })) << "the order of the inputs is the engine's";
  EXPECT_FALSE(changed([](Package& p) { p.version = 9; }));
  EXPECT_FALSE(changed([](Package& p) { std::swap(p.artefacts[0], p.artefacts[1]); }));
}

TEST_F(PackageTest, AnArtefactIsTheFileItselfAndOutlivesItsName) {
  write();
  const std::string path = folder_ + "/trees.bin";
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  std::optional<Artefact> kept;
  {
    const auto read = read_package(folder_);
    ASSERT_TRUE(read.ok());
    kept = *read->artefact("trees.bin");
  }
  const auto* at = kept->bytes().data();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % 4096, 0u);
  // The kernel says which file lies at an address, and that it may not be written.
  std::ifstream maps("/proc/self/maps");
  bool found = false;
  for (std::string line; std::getline(maps, line);)
    found = found || (line.starts_with(fmt::format("{:x}-", reinterpret_cast<uintptr_t>(at))) &&
                      line.find(" r--s ") != std::string::npos && line.ends_with(path));
  EXPECT_TRUE(found) << "not mapped, read-only";
  fs::remove_all(folder_);
  EXPECT_EQ(kept->bytes(), sample().artefacts[2].bytes()) << "its owner keeps the mapping alive";
}

TEST_F(PackageTest, AFileThatIsShorterIsRefusedAndNamed) {
  write();
  fs::resize_file(folder_ + "/trees.bin", 69'999);
  expect_corrupt("/trees.bin", "the file has 69999 bytes, manifest.json says 70000");
}

// What artefact.h says of a file that somebody shortens under a mapping.
TEST_F(PackageTest, AFileThatIsShortenedEndsWhoReadsBeyondItsEnd) {
  write();
  const auto read = read_package(folder_);
  ASSERT_TRUE(read.ok());
  const std::string_view bytes = read->artefact("trees.bin")->bytes();
  EXPECT_DEATH(
      {
        fs::resize_file(folder_ + "/trees.bin", 0);
        const volatile char lost = bytes[60'000];
        (void)lost;
      },
      "");
}

TEST_F(PackageTest, EveryFlippedByteIsRefused) {
  Package package = sample();
  package.artefacts.pop_back();  // the large one: the same as the others, and long
  write(package);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_))
    names.push_back(entry.path().filename());
  ASSERT_EQ(names.size(), 6u);
  size_t flipped = 0;
  for (const std::string& name : names) {
    const std::string path = folder_ + "/" + name;
    const std::string whole = read_file(path).value();
    for (size_t at = 0; at < whole.size(); ++at, ++flipped) {
      std::string spoiled = whole;
      spoiled[at] = static_cast<char>(spoiled[at] ^ 1);
      std::ofstream(path, std::ios::binary | std::ios::trunc) << spoiled;
      const auto read = read_package(folder_);
      ASSERT_FALSE(read.ok()) << name << " at " << at;
      ASSERT_EQ(read.error().code, ErrorCode::kCorrupt) << read.error().to_string();
      const bool manifest = name.starts_with("manifest");
      ASSERT_TRUE(read.error().where.ends_with(manifest ? "manifest.json" : name))
          << read.error().to_string();
      ASSERT_FALSE(read.error().how_to_mend.empty());
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_GT(flipped, 1000u);
  EXPECT_TRUE(read_package(folder_).ok());
}

TEST_F(PackageTest, AMissingOrStrangeFileIsNamed) {
  for (const char* name : {"manifest.json", "manifest.json.sha256", "settings.json", "profile.json",
                           "weights.json", "empty"}) {
    write();
    fs::remove(folder_ + "/" + name);
    expect_corrupt(name, "a file of the model's package is missing");
  }
  write();
  std::ofstream(folder_ + "/notes.txt") << "hello";
  expect_corrupt("/notes.txt", "does not list this file");
  write();
  fs::create_directory(folder_ + "/more");
  expect_corrupt("/more", "does not list this file");
}

TEST_F(PackageTest, OnlyFilesOfTheFolderItselfAreRead) {
  write();
  std::ofstream(root_ + "/outside") << "abc";
  fs::remove(folder_ + "/weights.json");
  fs::create_symlink(root_ + "/outside", folder_ + "/weights.json");
  expect_corrupt("/weights.json", "a link");
  write();
  fs::remove(folder_ + "/weights.json");
  ASSERT_EQ(::mkfifo((folder_ + "/weights.json").c_str(), 0600), 0);
  expect_corrupt("/weights.json", "not a regular file");
  for (const char* name : {"../outside", "/etc/hostname", "..", ".", "", "more/weights.json",
                           "..\\outside", ".hidden", "manifest.json"}) {
    write();
    reseal([&](nlohmann::json& manifest) { manifest["files"][2]["name"] = name; });
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << name << error.to_string();
    EXPECT_TRUE(error.where.ends_with("/manifest.json")) << error.to_string();
    EXPECT_NE(error.message.find(fmt::format("'{}'", name)), std::string::npos)
        << error.to_string();
  }
}

TEST_F(PackageTest, AManifestThatCannotBeIsRefused) {
  using Json = nlohmann::json;
  const auto expect = [&](const std::function<void(Json&)>& spoil, const std::string& what) {
    write();
    reseal(spoil);
    expect_corrupt("/manifest.json", what);
  };
  expect([](Json& m) { m["files"].push_back(m["files"][2]); }, "is listed twice");
  expect([](Json& m) { m["files"].erase(0); }, "'settings.json' is not listed");
  expect([](Json& m) { m["files"] = Json(200, m["files"][2]); }, "200 files, at most 102");
  expect([](Json& m) { m["inputs"].push_back(m["inputs"][0]); }, "'spent' comes twice");
  expect([](Json& m) { m["inputs"][0]["type"] = "float"; }, "'float' is not a type");
  expect([](Json& m) { m["inputs"] = Json(10'001, m["inputs"][0]); }, "10001 inputs, at most");
  expect([](Json& m) { m["outputs"][0]["type"] = "string"; }, "the output 'score' is a string");
  expect([](Json& m) { m.erase("outputs"); }, "outputs");
  expect([](Json& m) { m["files"][2]["bytes"] = "many"; }, "");
  write();
  reseal([](Json& m) { m["format"] = 3; });
  EXPECT_EQ(refusal().code, ErrorCode::kUnsupported);
}

TEST_F(PackageTest, WhatCannotBeReadIsNotWritten) {
  const auto refused = [&](const std::function<void(Package&)>& spoil) {
    Package package = sample();
    spoil(package);
    const auto written = write_package(folder_, package);
    EXPECT_FALSE(written.ok());
    EXPECT_FALSE(fs::exists(folder_));
    if (written.ok()) return std::string();
    EXPECT_EQ(written.error().code, ErrorCode::kBadInput);
    EXPECT_FALSE(written.error().how_to_mend.empty());
    return written.error().message;
  };
  EXPECT_EQ(refused([](Package& p) { p.artefacts.push_back(Artefact::of("../x", "")); }),
            "'../x' cannot be the name of a package's file");
  EXPECT_EQ(refused([](Package& p) { p.artefacts.push_back(Artefact::of("settings.json", "")); }),
            "'settings.json' is a name of the package's own");
  EXPECT_EQ(refused([](Package& p) { p.artefacts.push_back(p.artefacts[0]); }),
            "the artefact 'weights.json' comes twice");
  EXPECT_EQ(refused([](Package& p) {
              for (int i = 0; i < 98; ++i)
                p.artefacts.push_back(Artefact::of(std::to_string(i), ""));
            }),
            "101 artefacts, at most 100");
  EXPECT_EQ(refused([](Package& p) {
              p.inputs = schema::Schema({{"a", schema::kDouble}, {"a", schema::kInt64}});
            }),
            "the input 'a' comes twice");
  EXPECT_EQ(refused([](Package& p) {
              p.outputs = schema::Schema({{"", schema::kDouble}});
            }),
            "'' cannot be the name of an output");
}

// What a crash in the middle of writing leaves is not a package, and no hindrance to the next.
TEST_F(PackageTest, ACrashBetweenLeavesNothing) {
  fs::create_directories(folder_ + ".tmp");
  std::ofstream(folder_ + ".tmp/manifest.json") << "{";
  EXPECT_EQ(read_package(folder_).error().code, ErrorCode::kNotFound);
  write();
  EXPECT_TRUE(read_package(folder_).ok());
  EXPECT_FALSE(fs::exists(folder_ + ".tmp"));
}

TEST_F(PackageTest, TheSealIsWhatSha256sumPrints) {
  write();
  const std::string seal = read_file(folder_ + "/manifest.json.sha256").value();
  EXPECT_EQ(seal, sha256_hex(read_file(folder_ + "/manifest.json").value()) + "  manifest.json\n");
  EXPECT_EQ(sha256_hex("abc"), kSumOfAbc);
}

class PackageOfFormat1 : public PackageTest {
 protected:
  void SetUp() override {
    PackageTest::SetUp();
    const char* const source = std::getenv("QUICKWATER_SOURCE_DIR");
    ASSERT_NE(source, nullptr);
    fs::create_directories(fs::path(folder_).parent_path());
    fs::copy(fs::path(source) / "src/models/golden/package_1", folder_);
  }
};

TEST_F(PackageOfFormat1, IsReadAndKeepsTheDigestThatRegistriesRemember) {
  const auto read = read_package(folder_);
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_EQ(read->format, 1);
  EXPECT_EQ(read->kind, "activity");
  EXPECT_EQ(read->settings, R"({"threshold":1.5})");
  EXPECT_EQ(read->profile, R"({"count":10})");
  EXPECT_EQ(read->inputs, schema::Schema({{"load", schema::kInt64},
                                          {"spent", schema::Type{schema::Kind::kDecimal, 12, 2}},
                                          {"value", schema::kDouble}}));
  EXPECT_EQ(read->outputs.size(), 0u);
  EXPECT_TRUE(read->artefacts.empty());
  EXPECT_EQ(content_digest(*read),
            "c52bea2172362f3692608f98bca96dc7385005002d3c773deafe56d1fe7f874d");
}

TEST_F(PackageOfFormat1, IsRefusedWhenItWasTouched) {
  std::ofstream(folder_ + "/settings.json") << R"({"threshold":0.1})";
  expect_corrupt("/settings.json", "differs from the digest");
}

TEST_F(PackageOfFormat1, CannotBePretended) {
  fs::remove_all(folder_);
  write();
  fs::remove(folder_ + "/manifest.json.sha256");
  expect_corrupt("/manifest.json.sha256", "missing");
}

}  // namespace
}  // namespace qw::models
