// Errors on purpose: a sanitizer that is on reports them. CTest expects its words.
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

/** Usage: address|undefined. */
int
itkMRISynthSanitizerTest(int argc, char * argv[])
{
  if (argc != 2)
  {
    std::cerr << "usage: address|undefined" << std::endl;
    return EXIT_FAILURE;
  }
  if (std::string(argv[1]) == "address")
  {
    const std::vector<int> three(3, argc);
    const volatile int *   voxels = three.data();
    // Beyond the end, which the compiler must not know.
    const volatile int end = 3;
    std::cout << voxels[end] << std::endl;
  }
  else
  {
    volatile int largest = std::numeric_limits<int>::max();
    std::cout << largest + argc << std::endl;
  }
  return EXIT_SUCCESS;
}
