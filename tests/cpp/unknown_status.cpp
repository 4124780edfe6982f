// A status from a newer library, or one without a message, is an Error all the same.
#include "phantom.hpp"

using mrisynth::Contrast, mrisynth::Model, mrisynth::Status;

int main() {
  const auto newer = static_cast<Status>(77);
  check_error("newer", newer, "unknown status", [] { Model::embedded(Contrast::T2w, Contrast::T1w); });
  check_error("internal", Status::internal, "internal error", [] { Model::embedded(Contrast::T1w, Contrast::T2w); });
  return failures != 0;
}
