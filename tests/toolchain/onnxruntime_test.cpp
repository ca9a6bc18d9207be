// Aim: the fetched ONNX Runtime loads at run time and runs a model. Method: a one-node model (y = a
// + b) written by hand in protobuf's wire format, so that no model file and no ONNX exporter is
// needed.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <string>

#include "onnxruntime_cxx_api.h"

namespace {

std::string varint(unsigned value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string number(unsigned field, unsigned value) { return varint(field << 3) + varint(value); }
std::string bytes(unsigned field, const std::string& value) {
  return varint(field << 3 | 2) + varint(static_cast<unsigned>(value.size())) + value;
}

// ValueInfoProto of a float tensor of shape [2].
std::string tensor_info(const std::string& name) {
  const std::string shape = bytes(1, number(1, 2));
  const std::string tensor_type = number(1, 1) + bytes(2, shape);
  return bytes(1, name) + bytes(2, bytes(1, tensor_type));
}

std::string addition_model() {
  const std::string node = bytes(1, "a") + bytes(1, "b") + bytes(2, "y") + bytes(4, "Add");
  const std::string graph = bytes(1, node) + bytes(2, "g") + bytes(11, tensor_info("a")) +
                            bytes(11, tensor_info("b")) + bytes(12, tensor_info("y"));
  return number(1, 8) + bytes(7, graph) + bytes(8, number(2, 13));
}

const OrtApi* load_api() {
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);  // read by the library's constructors, so before dlopen
  void* library = dlopen(QW_ONNXRUNTIME_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    ADD_FAILURE() << dlerror();
    return nullptr;
  }
  using GetBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
  return get_base == nullptr ? nullptr : get_base()->GetApi(ORT_API_VERSION);
}

TEST(Toolchain, OnnxRuntimeRunsAModel) {
  const OrtApi* api = load_api();
  ASSERT_NE(api, nullptr);
  Ort::InitApi(api);
  const Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "toolchain");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  const std::string model = addition_model();
  Ort::Session session(env, model.data(), model.size(), options);
  std::array<float, 2> a{1.0F, 2.0F};
  std::array<float, 2> b{10.0F, 20.0F};
  const std::array<int64_t, 1> shape{2};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::array<Ort::Value, 2> inputs{
      Ort::Value::CreateTensor<float>(memory, a.data(), a.size(), shape.data(), shape.size()),
      Ort::Value::CreateTensor<float>(memory, b.data(), b.size(), shape.data(), shape.size())};
  const std::array<const char*, 2> input_names{"a", "b"};
  const std::array<const char*, 1> output_names{"y"};
  const auto outputs = session.Run(Ort::RunOptions{}, input_names.data(), inputs.data(),
                                   inputs.size(), output_names.data(), output_names.size());
  const float* y = outputs.at(0).GetTensorData<float>();
  EXPECT_EQ(y[0], 11.0F);
  EXPECT_EQ(y[1], 22.0F);
}

}  // namespace
