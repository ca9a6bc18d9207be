// Aim: protobuf's and gRPC's generators and libraries work together. Method: a generated service
// answers on a port of the kernel's choice and a generated stub calls it.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "hello.grpc.pb.h"

namespace {

namespace toolchain = quickwater::toolchain;

class DoublingService final : public toolchain::Hello::Service {
  grpc::Status Double(grpc::ServerContext*, const toolchain::Number* request,
                      toolchain::Number* reply) override {
    reply->set_value(2 * request->value());
    return grpc::Status::OK;
  }
};

TEST(Toolchain, GrpcAnswersAUnaryCall) {
  DoublingService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_TRUE(server);
  const auto channel =
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
  const auto stub = toolchain::Hello::NewStub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(10, GPR_TIMESPAN)));
  toolchain::Number request;
  request.set_value(21);
  toolchain::Number reply;
  const grpc::Status status = stub->Double(&context, request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.value(), 42);
  server->Shutdown();
}

}  // namespace
