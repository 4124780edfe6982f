// Each kind of call once, on one thread: for a checker under which everything takes a hundred times as long.
#include "phantom.hpp"

using mrisynth::Model, mrisynth::Options, mrisynth::Status;

namespace {

struct Stop {
  int number;
};

void synthesize(const Model &model, const Options &options, std::vector<float> &output) {
  const std::vector<float> scan = phantom::scan();
  model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
}

int number_thrown_in_log(const Model &model) {
  Options options = phantom::options();
  options.log = [](mrisynth::LogLevel, std::string_view) { throw Stop{5}; };
  std::vector<float> output(phantom::voxels);
  try {
    synthesize(model, options, output);
  } catch (const Stop &stop) {
    return stop.number;
  }
  return 0;
}

}  // namespace

int main() {
  const Model model = phantom::model();
  Options options = phantom::options();
  float last = 0;
  options.progress = [&](float fraction) {
    last = fraction;
    return true;
  };
  options.log = [](mrisynth::LogLevel, std::string_view) {};
  std::vector<float> output(phantom::voxels, phantom::untouched);
  synthesize(model, options, output);
  CHECK(last == 1.0f && !phantom::is_untouched(output));
  options.progress = [](float fraction) { return fraction < 0.1f; };
  check_error("cancel", Status::cancelled, "cancelled", [&] { synthesize(model, options, output); });
  options.accept_implausible = false;
  check_error("refused", Status::refused, "", [&] { synthesize(model, options, output); });
  CHECK(number_thrown_in_log(model) == 5);
  check_error("no file", Status::io, "no such file", [] { Model::load("no such file"); });
  return failures != 0;
}
