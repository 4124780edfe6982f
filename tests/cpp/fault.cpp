// Faults on purpose, each of which a checker must report and end with a failure: otherwise it is not switched on.
//
//   fault heap|leak|overflow|race
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

namespace {

/// Reads behind an allocation. The size comes from outside, so that no compiler sees it.
int read_behind_heap(int size) {
  const auto numbers = std::make_unique<int[]>(static_cast<std::size_t>(size));
  const volatile int *const first = numbers.get();
  return first[size];
}

/// Loses an allocation.
int leak(int size) {
  int *volatile numbers = new int[static_cast<std::size_t>(size)]();
  const int first = *numbers;
  numbers = nullptr;
  return first;
}

int overflow(int number) {
  const volatile int sum = number + INT_MAX;
  return sum;
}

int race() {
  int number = 0;
  int *const shared = &number;
  const auto count = [shared] {
    for (int n = 0; n < 100000; ++n) *static_cast<volatile int *>(shared) = *static_cast<volatile int *>(shared) + 1;
  };
  std::thread one(count), other(count);
  one.join();
  other.join();
  return number;
}

}  // namespace

int main(int argc, char **argv) {
  const char *const kind = argc > 1 ? argv[1] : "";
  if (std::strcmp(kind, "heap") == 0) std::printf("%d\n", read_behind_heap(argc + 8));
  else if (std::strcmp(kind, "leak") == 0) std::printf("%d\n", leak(argc + 8));
  else if (std::strcmp(kind, "overflow") == 0) std::printf("%d\n", overflow(argc));
  else if (std::strcmp(kind, "race") == 0) std::printf("%d\n", race());
  else return 2;
  return 0;
}
