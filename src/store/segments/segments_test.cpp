// Aim: a record that leaves the database for a segment is found there bit by bit, by our reader and
// by a person's SQL; no reader ever sees a gap or a record twice; what a crash or a full disk
// leaves behind is put right. Method: random rolls against a map in memory; a thread that reads
// while another rolls and removes; steps of the file system that fail or tell their order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "store/segments/history.h"

namespace qw::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr PartitionId kPartition{7};

std::shared_ptr<const schema::Schema> schema_of_all_types() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"text", schema::kString},
                                 {"whole", schema::kInt64},
                                 {"number", schema::kDouble},
                                 {"yes", schema::kBool},
                                 {"metric.mean \"1m\"", schema::kTimestamp},
                                 {"money", schema::Type{schema::Kind::kDecimal, 12, 2}}});
}

class SegmentsTest : public ::testing::Test {
 protected:
  SegmentsTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-segments-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    options_.folder = folder_;
    store_ = Store::open(options_, metrics_).value();
  }
  ~SegmentsTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Random bytes, among them what DuckDB would not take as text.
  std::string random_record() {
    std::string bytes(random_.below(300), '\0');
    for (char& c : bytes) c = static_cast<char>(random_.next_u64());
    return bytes;
  }
  void append(Seq seq, const std::string& record) {
    Txn txn;
    txn.append(Log::kDecisions, kPartition, seq, record);
    ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
  }
  // Writes [from, to) of the database into a file; the manifest does not know it yet.
  Segment write(Seq from, Seq to) {
    SegmentRows rows(schema_of_all_types());
    EXPECT_TRUE(store_
                    ->scan(Log::kDecisions, kPartition, from, to,
                           [&](Seq seq, std::string_view record) {
                             rows.add(seq, record);
                             rows.columns.append_row({std::string(record), int64_t{1}, 0.5,
                                                      int64_t{1}, int64_t{0}, int64_t{100}});
                             return true;
                           })
                    .ok());
    Segment segment{Log::kDecisions, kPartition, from, to, rows.seqs.size()};
    const auto written = write_segment(folder_, segment, rows, real_segment_steps());
    EXPECT_TRUE(written.ok()) << written.error().to_string();
    return segment;
  }
  void roll(Seq from, Seq to) {
    Txn txn;
    add_segment(txn, write(from, to));
    ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
  }
  std::map<uint64_t, std::string> scan(uint64_t from, uint64_t to) {
    std::map<uint64_t, std::string> found;
    EXPECT_TRUE(History(*store_)
                    .scan(Log::kDecisions, kPartition, Seq{from}, Seq{to},
                          [&](Seq seq, std::string_view record) {
                            EXPECT_TRUE(found.empty() || found.rbegin()->first < seq.value());
                            found.emplace(seq.value(), record);
                            return true;
                          })
                    .ok());
    return found;
  }
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(segment_folder(folder_)))
      names.push_back(entry.path().filename().string());
    return names;
  }

  std::string folder_;
  StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
  Random random_{7};
};

TEST_F(SegmentsTest, APersonReadsTypedColumnsAndTheRecordIsBitExact) {
  SegmentRows rows(schema_of_all_types());
  const std::string record("\0\xFF'\"\n\x80quick", 12);
  rows.add(Seq{3}, record);
  rows.columns.append_row({std::string("caf\xC3\xA9 'x'"), int64_t{-5}, 0.25, int64_t{1},
                           int64_t{1'700'000'000'123'456}, int64_t{-12345}});
  rows.add(Seq{9}, "");
  rows.columns.append_row({std::monostate(), std::monostate(), std::monostate(), std::monostate(),
                           std::monostate(), std::monostate()});
  rows.add(Seq{11}, "x");
  rows.columns.append_row({std::string("bad \xFF\xC3 \xED\xA0\x80"), int64_t{INT64_MAX}, 1e300,
                           int64_t{0}, int64_t{-1}, int64_t{0}});
  Segment segment{Log::kDecisions, kPartition, Seq{1}, Seq{12}, 3};
  segment.schema_id = 0xABC;
  const auto bytes = write_segment(folder_, segment, rows, real_segment_steps());
  ASSERT_TRUE(bytes.ok()) << bytes.error().to_string();

  const auto engine = duckdb::Engine::open({64, 1}).value();
  const std::string file = duckdb::quoted_text(segment_folder(folder_) + "/" + segment.file());
  const auto seen = engine->ask("select * exclude (record) from " + file + " order by seq").value();
  ASSERT_EQ(seen.rows.size(), 3u);
  EXPECT_THAT(seen.rows[0], ElementsAre("café 'x'", "-5", "0.25", "true",
                                        "2023-11-14 22:13:20.123456", "-123.45", "3"));
  EXPECT_THAT(seen.rows[1], ElementsAre(std::nullopt, std::nullopt, std::nullopt, std::nullopt,
                                        std::nullopt, std::nullopt, "9"));
  EXPECT_EQ(seen.rows[2][0], "bad \uFFFD\uFFFD \uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(seen.columns[4].name, "metric.mean \"1m\"");
  const auto about = engine->ask("select decode(value) from parquet_kv_metadata(" + file +
                                 ") where decode(key) in ('schema_id', 'quickwater_segment') "
                                 "order by decode(key)");
  EXPECT_EQ(about->rows[0][0], "1");
  EXPECT_EQ(about->rows[1][0], "0000000000000abc");

  std::map<uint64_t, std::string> read;
  EXPECT_TRUE(SegmentReader(folder_)
                  .scan(segment, Seq{0}, Seq{UINT64_MAX},
                        [&](Seq seq, std::string_view bytes_read) {
                          read.emplace(seq.value(), bytes_read);
                          return true;
                        })
                  .value());
  EXPECT_EQ(read, (std::map<uint64_t, std::string>{{3, record}, {9, ""}, {11, "x"}}));
}

TEST_F(SegmentsTest, HistoryIsTheLogThroughRandomRolls) {
  std::map<uint64_t, std::string> all;
  uint64_t seq = 0, rolled = 1;
  for (int step = 0; step < 400; ++step) {
    seq += 1 + random_.below(3);
    all[seq] = random_record();
    append(Seq{seq}, all[seq]);
    if (step % 37 == 36) {
      const uint64_t to = rolled + random_.below(seq + 2 - rolled);
      if (to > rolled) roll(Seq{rolled}, Seq{to});
      rolled = to;
    }
    if (step % 80 == 79) {  // as retention does
      const Segment oldest = all_segments(*store_)->front();
      Txn txn;
      drop_segment(txn, oldest);
      ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
      all.erase(all.begin(), all.lower_bound(oldest.to.value()));
      EXPECT_TRUE(scan(1, oldest.to.value()).empty());
    }
    if (step % 20 != 0) continue;
    const uint64_t from = random_.below(seq + 2), to = from + random_.below(seq + 2);
    const std::map<uint64_t, std::string> wanted(all.lower_bound(from), all.lower_bound(to));
    EXPECT_EQ(scan(from, to), wanted) << from << ".." << to;

    std::vector<Seq> seqs;
    for (const auto& [one, record] : wanted)
      if (random_.below(3) == 0) seqs.emplace_back(one);
    size_t at = 0;
    EXPECT_TRUE(History(*store_)
                    .read(Log::kDecisions, kPartition, seqs,
                          [&](Seq one, std::string_view record) {
                            EXPECT_EQ(one, seqs[at++]);
                            EXPECT_EQ(record, all[one.value()]);
                            return true;
                          })
                    .ok());
    EXPECT_EQ(at, seqs.size());

    auto expected = all.lower_bound(to);
    size_t left = 30;
    EXPECT_TRUE(History(*store_)
                    .scan_back(Log::kDecisions, kPartition, Seq{to}, 30,
                               [&](Seq one, std::string_view record) {
                                 EXPECT_NE(expected, all.begin());
                                 --expected;
                                 EXPECT_EQ(one.value(), expected->first);
                                 EXPECT_EQ(record, expected->second);
                                 --left;
                                 return true;
                               })
                    .ok());
    EXPECT_TRUE(left == 0 || expected == all.begin());
  }
  EXPECT_GT(all_segments(*store_)->size(), 3u);
  EXPECT_EQ(store_->last_seq(Log::kDecisions, kPartition)->value(), seq);
}

TEST_F(SegmentsTest, AReaderSeesNoGapWhileSegmentsComeAndGo) {
  std::atomic<uint64_t> committed{0};
  std::atomic<bool> done{false};
  std::atomic<int> scans{0};
  std::thread reader([&] {
    do {
      const uint64_t at_least = committed;
      uint64_t last = 0;
      bool whole = true;
      const auto read = History(*store_).scan(Log::kDecisions, kPartition, Seq{0}, Seq{UINT64_MAX},
                                              [&](Seq seq, std::string_view record) {
                                                whole = whole &&
                                                        (last == 0 || seq.value() == last + 1) &&
                                                        record == std::to_string(seq.value());
                                                last = seq.value();
                                                return true;
                                              });
      EXPECT_TRUE(read.ok()) << read.error().to_string();
      EXPECT_TRUE(whole) << "a gap or a repetition before " << last;
      EXPECT_GE(last, at_least);
      ++scans;
    } while (!done);
  });
  std::vector<Segment> dropped;
  for (uint64_t seq = 1; seq <= 3000; ++seq) {
    append(Seq{seq}, std::to_string(seq));
    committed = seq;
    if (seq % 150 == 0) roll(Seq{seq - 149}, Seq{seq + 1});
    if (seq % 400 == 0) {
      // The file of one lives on until the next goes, as a grace would have it.
      for (const Segment& old : dropped)
        std::filesystem::remove(segment_folder(folder_) + "/" + old.file());
      dropped.assign(1, segments_of(*store_, Log::kDecisions, kPartition)->front());
      Txn txn;
      drop_segment(txn, dropped.front());
      ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
    }
  }
  done = true;
  reader.join();
  EXPECT_GT(scans, 1);
}

TEST_F(SegmentsTest, WhatACrashLeftBehindIsPutRight) {
  for (uint64_t seq = 1; seq <= 20; ++seq) append(Seq{seq}, random_record());
  const auto whole = scan(0, UINT64_MAX);
  roll(Seq{1}, Seq{8});
  const Segment listed = segments_of(*store_, Log::kDecisions, kPartition)->front();
  write(Seq{8}, Seq{15});  // then killed, before the manifest knows it
  std::ofstream(segment_folder(folder_) + "/" + listed.file() + ".new") << "half";
  EXPECT_EQ(files().size(), 3u);
  EXPECT_EQ(check_segments(*store_, false).value().removed, 2u);
  EXPECT_THAT(files(), ElementsAre(listed.file()));
  EXPECT_EQ(scan(0, UINT64_MAX), whole);

  std::filesystem::resize_file(segment_folder(folder_) + "/" + listed.file(), listed.bytes - 1);
  const auto cut = check_segments(*store_, false);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(cut.error().to_string(), HasSubstr(listed.file()));
  std::filesystem::remove(segment_folder(folder_) + "/" + listed.file());
  EXPECT_EQ(check_segments(*store_, false).error().code, ErrorCode::kCorrupt);
  const auto read = History(*store_).scan(Log::kDecisions, kPartition, Seq{0}, Seq{9},
                                          [](Seq, std::string_view) { return true; });
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
}

TEST_F(SegmentsTest, ADamagedRowOfTheManifestIsNotRead) {
  append(Seq{1}, "x");
  roll(Seq{1}, Seq{2});
  Txn txn;
  txn.put_meta("segment/decisions/0000000007/00000000000000000001", "nonsense");
  ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
  EXPECT_EQ(all_segments(*store_).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(check_segments(*store_, false).error().code, ErrorCode::kCorrupt);
}

TEST_F(SegmentsTest, AFileIsSyncedBeforeItHasItsNameAndItsNameBeforeItCounts) {
  append(Seq{1}, "x");
  SegmentRows rows(schema_of_all_types());
  rows.add(Seq{1}, "x");
  rows.columns.append_row({std::string("x"), int64_t{1}, 0.5, int64_t{1}, int64_t{0}, int64_t{0}});
  Segment segment{Log::kDecisions, kPartition, Seq{1}, Seq{2}, 1};
  std::vector<std::string> order;
  int fails = -1;
  const auto step = [&](const char* name, const std::string& path) -> Result<void> {
    order.push_back(std::string(name) + " " + std::filesystem::path(path).filename().string());
    if (static_cast<int>(order.size()) - 1 == fails)
      return Error{ErrorCode::kExhausted, "the disk is full", "", ""};
    return {};
  };
  const SegmentSteps steps{[&](const std::string& path) { return step("sync", path); },
                           [&](const std::string& from, const std::string& to) -> Result<void> {
                             QW_TRY(step("rename", from));
                             return real_segment_steps().rename(from, to);
                           },
                           [&](const std::string& path) { return step("folder", path); }};
  ASSERT_TRUE(write_segment(folder_, segment, rows, steps).ok());
  const std::string folder = "folder " + std::filesystem::path(folder_).filename().string();
  EXPECT_THAT(order, ElementsAre(folder, "sync " + segment.file() + ".new",
                                 "rename " + segment.file() + ".new", "folder segments"));
  for (fails = 0; fails < 3; ++fails) {
    order.clear();
    const auto failed = write_segment(folder_, segment, rows, steps);
    ASSERT_FALSE(failed.ok()) << fails;
    EXPECT_EQ(failed.error().code, ErrorCode::kExhausted);
    EXPECT_THAT(files(), ElementsAre()) << "left after step " << fails;
  }
}

TEST_F(SegmentsTest, AWriteThatFailsLeavesNothing) {
  for (uint64_t seq = 1; seq <= 500; ++seq) append(Seq{seq}, random_record());
  SegmentRows rows(schema_of_all_types());
  EXPECT_TRUE(store_
                  ->scan(Log::kDecisions, kPartition, Seq{0}, Seq{501},
                         [&](Seq seq, std::string_view record) {
                           rows.add(seq, record);
                           rows.columns.append_row({std::string("x"), int64_t{1}, 0.5, int64_t{1},
                                                    int64_t{0}, int64_t{0}});
                           return true;
                         })
                  .ok());
  // The operating system refuses bytes beyond 4096 of a file, as a full disk would.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Segment segment{Log::kDecisions, kPartition, Seq{1}, Seq{501}, 500};
  const auto failed = write_segment(folder_, segment, rows, real_segment_steps());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().to_string(), HasSubstr(segment.file()));
  EXPECT_THAT(files(), ElementsAre());
  EXPECT_EQ(scan(0, UINT64_MAX).size(), 500u);
  EXPECT_TRUE(write_segment(folder_, segment, rows, real_segment_steps()).ok());
}

// "Too many open files" says nothing of the file: whoever hears of damage would restore a copy.
TEST_F(SegmentsTest, WhatTheMachineRefusesIsNoDamage) {
  for (uint64_t seq = 1; seq <= 500; ++seq) append(Seq{seq}, random_record());
  roll(Seq{1}, Seq{501});
  const int next = ::dup(STDIN_FILENO);
  ::close(next);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  int refused = 0;
  for (int allowed = 0; allowed < 4; ++allowed) {
    const rlimit small{static_cast<rlim_t>(next + allowed), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
    const auto read = History(*store_).scan(Log::kDecisions, kPartition, Seq{1}, Seq{501},
                                            [](Seq, std::string_view) { return true; });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    refused += !read.ok();
    if (!read.ok()) {
      EXPECT_NE(read.error().code, ErrorCode::kCorrupt) << read.error().to_string();
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(scan(0, UINT64_MAX).size(), 500u);
}

}  // namespace
}  // namespace qw::store
