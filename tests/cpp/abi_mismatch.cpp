// A library with another binary interface is found when the first model is made, before anything else is asked of it.
#include "phantom.hpp"

using mrisynth::Contrast, mrisynth::Model, mrisynth::Status;

int main() {
  const char *const words = "binary interface 2, and this program was built for 1";
  const char garbage[] = "garbage";
  check_error("check_abi", Status::unsupported, words, [] { mrisynth::check_abi(); });
  check_error("embedded", Status::unsupported, words, [] { Model::embedded(Contrast::T2w, Contrast::T1w); });
  check_error("load", Status::unsupported, words, [] { Model::load("no such file"); });
  check_error("from_memory", Status::unsupported, words, [&] { Model::from_memory(garbage, sizeof garbage); });
  return failures != 0;
}
