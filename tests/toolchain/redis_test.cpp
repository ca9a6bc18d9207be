// Aim: hiredis reaches the real Redis that the test run started. Method: write a key, read it back,
// delete it.
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace {

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;

std::string ask(redisContext* context, const std::string& command) {
  auto* reply = static_cast<redisReply*>(redisCommand(context, command.c_str()));
  if (reply == nullptr) return std::string("no reply: ") + context->errstr;
  std::string text = reply->str == nullptr ? "" : std::string(reply->str, reply->len);
  freeReplyObject(reply);
  return text;
}

TEST(Toolchain, RedisKeepsAValue) {
  const char* address = std::getenv("QUICKWATER_REDIS");
  if (address == nullptr) GTEST_SKIP() << "QUICKWATER_REDIS is not set: no Redis was started";
  const std::string text = address;
  const size_t colon = text.rfind(':');
  const timeval timeout{.tv_sec = 5, .tv_usec = 0};
  const Context context(redisConnectWithTimeout(text.substr(0, colon).c_str(),
                                                std::stoi(text.substr(colon + 1)), timeout),
                        &redisFree);
  ASSERT_TRUE(context);
  ASSERT_EQ(context->err, 0) << context->errstr;
  const std::string key = "qw_toolchain_" + std::to_string(getpid());
  EXPECT_EQ(ask(context.get(), "SET " + key + " 42"), "OK");
  EXPECT_EQ(ask(context.get(), "GET " + key), "42");
  ask(context.get(), "DEL " + key);
}

}  // namespace
