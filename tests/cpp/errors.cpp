// Every failure that a caller can provoke, as an exception with the library's status and its message.
#include "phantom.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <type_traits>

using mrisynth::ConstImage, mrisynth::Contrast, mrisynth::Error, mrisynth::Geometry, mrisynth::Image, mrisynth::Model,
    mrisynth::Options, mrisynth::Status, mrisynth::VoxelType;

namespace {

static_assert(std::is_nothrow_move_constructible_v<Model> && std::is_nothrow_move_assignable_v<Model>);
static_assert(!std::is_copy_constructible_v<Model> && !std::is_copy_assignable_v<Model>);
static_assert(std::is_nothrow_copy_constructible_v<Error> && std::is_base_of_v<std::runtime_error, Error>);

void test_words() {
  CHECK(mrisynth::version() == mrisynth_version());
  CHECK(mrisynth::cpu_tier() == mrisynth_cpu_tier());
  mrisynth::check_abi();
  CHECK(to_string(Status::ok) == "success");
  CHECK(to_string(Status::cancelled) == "cancelled");
  CHECK(to_string(static_cast<Status>(1234)) == "unknown status");
}

void test_models(const char *model_file) {
  const auto equal = [] { Model::embedded(Contrast::T1w, Contrast::T1w); };
  check_error("equal contrasts", Status::invalid_argument, "", equal);
  const auto unknown = [] { Model::embedded(static_cast<Contrast>(9), Contrast::T1w); };
  check_error("unknown contrast", Status::invalid_argument, "contrast 9", unknown);
  check_error("no file", Status::io, "no such folder", [] { Model::load("no such folder/model.onnx"); });
  check_error("no UTF-8", Status::invalid_argument, "UTF-8", [] { Model::load("\xff\xfe.onnx"); });
  // Up to the NUL it is the name of a file that exists.
  const std::string cut = std::string(model_file) + '\0' + ".onnx";
  check_error("NUL in a path", Status::invalid_argument, "NUL", [&] { Model::load(cut); });

  const std::string garbage = "not an ONNX file, whatever its name says";
  const char *const path = "garbage_for_errors.onnx";
  std::ofstream(path) << garbage;
  check_error("garbage in a file", Status::bad_model, path, [&] { Model::load(path); });
  std::remove(path);
  check_error("garbage", Status::bad_model, "", [&] { Model::from_memory(garbage.data(), garbage.size()); });
  check_error("no memory", Status::invalid_argument, "bytes", [] { Model::from_memory(nullptr, 10); });
}

void test_cards(const Model &embedded, const char *model_file) {
  CHECK(embedded.info("source") == "T2w" && embedded.info("target") == "T1w");
  CHECK(embedded.info("name").has_value() && embedded.info("sha256").value_or("").size() == 64);
  CHECK(!embedded.info("no such key") && !embedded.info(""));
  CHECK(Model::embedded(Contrast::T1w, Contrast::T2w).info("target") == "T2w");
  CHECK(mrisynth_model_info(embedded.c_model(), "name") == embedded.info("name"));

  const Model loaded = Model::load(model_file);
  CHECK(loaded.info("sha256") == embedded.info("sha256"));
  std::ifstream file(model_file, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const Model from_memory = Model::from_memory(bytes.data(), bytes.size());
  // Nothing of it is kept.
  std::fill(bytes.begin(), bytes.end(), '\0');
  CHECK(from_memory.info("sha256") == embedded.info("sha256"));
  CHECK(phantom::same_bytes(phantom::synthesized(from_memory), phantom::synthesized(embedded)));
}

void test_moved_models() {
  Model first = phantom::model();
  const Model second = std::move(first);
  CHECK(second.info("source") == "T2w" && second.c_model() != nullptr);
  CHECK(!first.info("source") && first.c_model() == nullptr);
  check_error("moved from", Status::invalid_argument, "model is NULL", [&] { phantom::synthesized(first); });
  first = phantom::model();
  CHECK(phantom::same_bytes(phantom::synthesized(first), phantom::synthesized(second)));
}

/// One call with one thing wrong.
struct Call {
  std::vector<float> scan = phantom::scan();
  std::vector<float> output = std::vector<float>(phantom::voxels, phantom::untouched);
  Geometry input_geometry = phantom::geometry(), output_geometry = phantom::geometry();
  Options options = phantom::options();
};

template <class Spoil>
void check_call(const Model &model, const char *name, Status expected, const char *words, const Spoil &spoil) {
  Call call;
  spoil(call);
  check_error(name, expected, words, [&] {
    model.synthesize({call.scan.data(), call.input_geometry}, {call.output.data(), call.output_geometry}, call.options);
  });
  CHECK(phantom::is_untouched(call.output));
}

void test_calls(const Model &model) {
  constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
  check_call(model, "not finite", Status::bad_image, "not finite", [](Call &call) { call.scan[5] = not_a_number; });
  check_call(model, "constant", Status::bad_image, "", [](Call &call) { call.scan.assign(phantom::voxels, 0.0f); });
  check_call(model, "singular input", Status::bad_image, "inputs[0]",
             [](Call &call) { call.input_geometry.index_to_lps[10] = 0; });
  check_call(model, "singular output", Status::bad_image, "output",
             [](Call &call) { call.output_geometry.index_to_lps[0] = 0; });
  check_call(model, "no voxels", Status::invalid_argument, "inputs[0]",
             [](Call &call) { call.input_geometry.dims[1] = 0; });
  check_call(model, "too many voxels", Status::invalid_argument, "output",
             [](Call &call) { call.output_geometry.dims[2] = 1025; });
  check_call(model, "unknown state", Status::invalid_argument, "input state 7",
             [](Call &call) { call.options.input_state = static_cast<mrisynth::InputState>(7); });
  check_call(model, "implausible", Status::refused, "", [](Call &call) { call.options.accept_implausible = false; });
  check_call(model, "no head", Status::refused, "", [](Call &call) {
    call.options.input_state = mrisynth::InputState::raw;
    call.options.accept_implausible = false;
  });
  check_call(model, "little memory", Status::out_of_memory, "limit",
             [](Call &call) { call.options.memory_limit = 1000; });
  check_call(model, "cancelled", Status::cancelled, "cancelled",
             [](Call &call) { call.options.progress = [](float) { return false; }; });
}

void test_images(const Model &model) {
  std::vector<float> scan = phantom::scan();
  std::vector<float> output(phantom::voxels, phantom::untouched);
  const Geometry geometry = phantom::geometry();
  const Image good(output, geometry);
  const auto fails = [&](const char *name, Status expected, const char *words, const ConstImage &input,
                         const Image &target) {
    check_error(name, expected, words, [&] { model.synthesize(input, target, phantom::options()); });
    CHECK(phantom::is_untouched(output));
  };
  float *const nowhere = nullptr;
  fails("no data", Status::invalid_argument, "inputs[0]: data is NULL", {nowhere, geometry}, good);
  fails("no data", Status::invalid_argument, "output: data is NULL", {scan, geometry}, {nowhere, geometry});
  const auto unknown = static_cast<VoxelType>(7);
  fails("unknown voxels", Status::unsupported, "inputs[0]", {scan.data(), unknown, geometry}, good);
  fails("unknown voxels", Status::unsupported, "output", {scan, geometry}, {output.data(), unknown, geometry});
  fails("overlap", Status::invalid_argument, "inputs[0]", {scan.data(), geometry, {4, 4, 80}}, good);
  fails("overlap", Status::invalid_argument, "output", {scan, geometry}, {output.data(), geometry, {2, 80, 1920}});
}

// A failure is forgotten: the next call that goes well says nothing of it.
void test_after_failures(const Model &model, const std::vector<float> &expected) {
  CHECK(phantom::same_bytes(phantom::synthesized(model), expected));
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  test_words();
  test_models(argv[1]);
  test_moved_models();
  const Model model = phantom::model();
  const std::vector<float> expected = phantom::synthesized(model);
  test_cards(model, argv[1]);
  test_calls(model);
  test_images(model);
  test_after_failures(model, expected);
  return failures != 0;
}
