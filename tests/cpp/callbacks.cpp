// Progress and log: what they are told, that they can cancel, and that what they throw comes out as it was thrown.
#include "phantom.hpp"

#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

using mrisynth::LogLevel, mrisynth::Model, mrisynth::Options, mrisynth::Status;

namespace {

/// A synthesis whose output can be looked at afterwards.
struct Run {
  std::vector<float> output = std::vector<float>(phantom::voxels, phantom::untouched);

  void operator()(const Model &model, const Options &options) {
    const std::vector<float> scan = phantom::scan();
    model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
  }
};

// ---- what they are told ---------------------------------------------------------------------------------------------

void test_progress(const Model &model, const std::vector<float> &expected) {
  Options options = phantom::options();
  std::vector<float> told;
  bool elsewhere = false;
  options.progress = [&, caller = std::this_thread::get_id()](float fraction) {
    elsewhere |= std::this_thread::get_id() != caller;
    told.push_back(fraction);
    return true;
  };
  Run run;
  run(model, options);
  CHECK(!elsewhere);
  CHECK(told.size() > 10 && told.front() == 0.0f && told.back() == 1.0f);
  for (std::size_t n = 1; n < told.size(); ++n) CHECK(told[n - 1] <= told[n]);
  CHECK(phantom::same_bytes(run.output, expected));
}

void test_log(const Model &model, const std::vector<float> &expected) {
  Options options = phantom::options();
  std::vector<std::pair<LogLevel, std::string>> lines;
  options.log = [&](LogLevel level, std::string_view line) { lines.emplace_back(level, line); };
  Run run;
  run(model, options);
  std::size_t warnings = 0;
  for (const auto &[level, line] : lines) {
    // For developers: how long each stage took.
    const bool is_time = level == LogLevel::debug && line.rfind("time: ", 0) == 0;
    CHECK(level == LogLevel::warning || is_time);
    warnings += level == LogLevel::warning;
    CHECK(!line.empty() && line.find('\n') == std::string::npos);
  }
  CHECK(warnings > 0 && lines.size() > warnings);
  CHECK(phantom::same_bytes(run.output, expected));
}

// ---- cancelling -----------------------------------------------------------------------------------------------------

void test_cancel(const Model &model) {
  for (const float stop : {0.0f, 0.5f, 1.0f}) {
    int calls_after = 0;
    bool stopped = false;
    Options options = phantom::options();
    options.progress = [&](float fraction) {
      calls_after += stopped;
      stopped |= fraction >= stop;
      return !stopped;
    };
    Run run;
    check_error("cancel", Status::cancelled, "cancelled", [&] { run(model, options); });
    CHECK(stopped && calls_after == 0 && phantom::is_untouched(run.output));
  }
}

// ---- exceptions -----------------------------------------------------------------------------------------------------

/// Derived from nothing that the library or its header could know.
struct Stop {
  int number;
  std::string text;
};

struct MyError : std::runtime_error {
  explicit MyError(int its_number) : std::runtime_error("my error"), number(its_number) {}
  int number;
};

/// What a synthesis with these options throws, if it is a `Thrown`; its output must be untouched.
template <class Thrown> std::optional<Thrown> thrown_by(const Model &model, const Options &options) {
  Run run;
  std::optional<Thrown> thrown;
  try {
    run(model, options);
  } catch (const Thrown &what) {
    thrown = what;
  } catch (...) {
    std::fprintf(stderr, "another exception came out than was thrown\n");
    ++failures;
  }
  CHECK(phantom::is_untouched(run.output));
  return thrown;
}

using Throw = std::function<void()>;

/// Throws in progress as soon as `from` is reached.
Options throwing_progress(float from, const Throw &fault) {
  Options options = phantom::options();
  options.progress = [=](float fraction) {
    if (fraction >= from) fault();
    return true;
  };
  return options;
}

Options throwing_log(const Throw &fault) {
  Options options = phantom::options();
  options.log = [=](LogLevel, std::string_view) { fault(); };
  return options;
}

/// The same from progress at its first, at some middle and at its last call, and from the log with and without
/// progress.
template <class Thrown, class IsSame>
void check_thrown(const Model &model, const Throw &fault, const IsSame &is_same) {
  std::vector<Options> ways;
  for (const float from : {0.0f, 0.5f, 1.0f}) ways.push_back(throwing_progress(from, fault));
  ways.push_back(throwing_log(fault));
  ways.push_back(throwing_log(fault));
  ways.back().progress = [](float) { return true; };
  for (const Options &options : ways) {
    const std::optional<Thrown> thrown = thrown_by<Thrown>(model, options);
    CHECK(thrown.has_value() && is_same(*thrown));
  }
}

void test_types_of_exceptions(const Model &model) {
  check_thrown<MyError>(model, [] { throw MyError(42); }, [](const MyError &error) { return error.number == 42; });
  const std::string text = "a text too long for any small string";
  check_thrown<Stop>(model, [=] { throw Stop{7, text}; },
                     [&](const Stop &stop) { return stop.number == 7 && stop.text == text; });
  check_thrown<int>(model, [] { throw 5; }, [](int number) { return number == 5; });
  check_thrown<const char *>(model, [] { throw "words"; },
                             [](const char *words) { return std::string(words) == "words"; });
  check_thrown<std::bad_alloc>(model, [] { throw std::bad_alloc(); }, [](const std::bad_alloc &) { return true; });
  // The library's own kind is nobody else's either.
  check_thrown<mrisynth::Error>(model, [] { throw mrisynth::Error(Status::io, "the user's"); },
                                [](const mrisynth::Error &error) {
                                  return error.status() == Status::io && std::string(error.what()) == "the user's";
                                });
}

/// Is there a Stop with this number inside of an exception?
bool holds_stop(const std::exception &outer, int number) {
  try {
    std::rethrow_if_nested(outer);
  } catch (const Stop &stop) {
    return stop.number == number;
  }
  return false;
}

void test_nested_exceptions(const Model &model) {
  Options options = throwing_progress(0.5f, [] {
    try {
      throw Stop{11, ""};
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  });
  Run run;
  bool found = false;
  try {
    run(model, options);
  } catch (const std::runtime_error &outer) {
    found = std::string(outer.what()) == "outer" && holds_stop(outer, 11);
  }
  CHECK(found);
}

// Of two that throw the first counts, and neither is called again.
void test_first_exception(const Model &model) {
  int lines = 0, calls_after = 0;
  Options options = phantom::options();
  options.log = [&](LogLevel, std::string_view) {
    ++lines;
    throw Stop{1, "from the log"};
  };
  // The log comes from another thread, so that progress may well be called in between, but not after it was heard.
  options.progress = [&](float fraction) {
    if (fraction == 1.0f) ++calls_after;
    return true;
  };
  const std::optional<Stop> stop = thrown_by<Stop>(model, options);
  CHECK(stop && stop->number == 1);
  CHECK(lines == 1 && calls_after == 0);
}

// An exception wins over a failure of the library's that came of it or at the same time.
void test_exception_before_failure(const Model &model) {
  Options options = throwing_progress(0.0f, [] { throw Stop{3, ""}; });
  options.memory_limit = 100000;
  const std::optional<Stop> stop = thrown_by<Stop>(model, options);
  CHECK(stop && stop->number == 3);
}

// A failure of the library's own is no exception of the user's, whatever callbacks there are.
void test_failure_with_callbacks(const Model &model) {
  Options options = phantom::options();
  options.progress = [](float) { return true; };
  options.log = [](LogLevel, std::string_view) {};
  options.accept_implausible = false;
  Run run;
  check_error("refused", Status::refused, "", [&] { run(model, options); });
  CHECK(phantom::is_untouched(run.output));
}

}  // namespace

int main() {
  const Model model = phantom::model();
  const std::vector<float> expected = phantom::synthesized(model);
  test_progress(model, expected);
  test_log(model, expected);
  test_cancel(model);
  test_types_of_exceptions(model);
  test_nested_exceptions(model);
  test_first_exception(model);
  test_exception_before_failure(model);
  test_failure_with_callbacks(model);
  CHECK(phantom::same_bytes(phantom::synthesized(model), expected));
  return failures != 0;
}
