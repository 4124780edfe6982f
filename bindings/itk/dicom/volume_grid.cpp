// Sorts slices by their positions, which is what tells their order, and measures whether they make a volume.
#include "volume_grid.h"

#include "failure.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace mrisynth_dicom {
namespace {

/// Positions are written with few digits; ten micrometres are far below what a scanner places a slice with.
constexpr double position_tolerance = 0.01;
/// Of a step, likewise.
constexpr double step_tolerance = 0.01;
/// Of direction cosines and spacings.
constexpr double cosine_tolerance = 1e-4;

std::string millimetres(double length) {
  std::ostringstream text;
  text << std::setprecision(4) << length << " mm";
  return text.str();
}

[[noreturn]] void fail(const Slice &slice, const std::string &fault) {
  throw Failure(ExitCode::bad_image, slice.found.path.string() + ": " + fault);
}

double farthest(const Vector &one, const Vector &other) {
  return std::max({std::abs(one[0] - other[0]), std::abs(one[1] - other[1]), std::abs(one[2] - other[2])});
}

void check_parallel(const std::vector<Slice> &slices) {
  const Slice &first = slices[0];
  for (const Slice &slice : slices) {
    if (farthest(slice.along_row, first.along_row) > cosine_tolerance ||
        farthest(slice.down_column, first.down_column) > cosine_tolerance) {
      fail(slice, "it lies in another orientation than " + first.found.path.string() +
                      ": is there a localizer in the series?");
    }
    if (std::abs(slice.row_spacing - first.row_spacing) > cosine_tolerance ||
        std::abs(slice.column_spacing - first.column_spacing) > cosine_tolerance) {
      fail(slice, "its PixelSpacing is not that of " + first.found.path.string());
    }
  }
}

/// The median of the steps from each slice to the next.
double median_step(const std::vector<double> &places) {
  std::vector<double> steps;
  for (std::size_t at = 1; at < places.size(); ++at) steps.push_back(places[at] - places[at - 1]);
  std::nth_element(steps.begin(), steps.begin() + steps.size() / 2, steps.end());
  return steps[steps.size() / 2];
}

void check_steps(const std::vector<Slice> &slices, const std::vector<double> &places) {
  for (std::size_t at = 1; at < slices.size(); ++at) {
    if (places[at] - places[at - 1] < position_tolerance) {
      fail(slices[at], "it lies where " + slices[at - 1].found.path.string() +
                           " does: are there several echoes or times in the series?");
    }
  }
  const double usual = median_step(places);
  for (std::size_t at = 1; at < slices.size(); ++at) {
    const double step = places[at] - places[at - 1];
    if (std::abs(step - usual) <= std::max(position_tolerance, step_tolerance * usual)) continue;
    const double missing = step / usual - 1.0;
    const std::string between = "between it and " + slices[at - 1].found.path.string();
    if (missing > 0.5 && std::abs(missing - std::round(missing)) < 0.05) {
      const long count = std::lround(missing);
      fail(slices[at], std::to_string(count) + (count == 1 ? " slice is missing " : " slices are missing ") + between);
    }
    fail(slices[at], "the slices are not evenly spaced: " + millimetres(step) + " " + between + ", elsewhere " +
                         millimetres(usual));
  }
}

/// Every slice lies straight above the first one, or the stack is sheared.
void check_upright(const std::vector<Slice> &slices, const Vector &normal, double step) {
  for (std::size_t at = 1; at < slices.size(); ++at) {
    Vector aside{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      aside[axis] = slices[at].position[axis] - slices[0].position[axis];
    }
    const double up = dot(aside, normal);
    for (std::size_t axis = 0; axis < 3; ++axis) aside[axis] -= up * normal[axis];
    const double distance = std::sqrt(dot(aside, aside));
    // A direction cosine is written with about six digits.
    const double allowed = std::max(position_tolerance, 1e-3 * step * static_cast<double>(at));
    if (distance > allowed) {
      fail(slices[at], "it lies " + millimetres(distance) + " beside the normal through " +
                           slices[0].found.path.string() +
                           ": stacks that are not at right angles (gantry tilt) are not read");
    }
  }
}

}  // namespace

Vector normal_of(const Slice &slice) {
  const Vector &a = slice.along_row, &b = slice.down_column;
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double sort_and_measure(std::vector<Slice> &slices) {
  if (slices.size() < 2) fail(slices[0], "it is the only slice of its series: a volume is needed");
  check_parallel(slices);
  const Vector normal = normal_of(slices[0]);
  const auto place = [&](const Slice &slice) { return dot(slice.position, normal); };
  std::stable_sort(slices.begin(), slices.end(),
                   [&](const Slice &one, const Slice &other) { return place(one) < place(other); });
  std::vector<double> places;
  for (const Slice &slice : slices) places.push_back(place(slice));
  check_steps(slices, places);
  const double step = (places.back() - places.front()) / static_cast<double>(slices.size() - 1);
  check_upright(slices, normal, step);
  return step;
}

}  // namespace mrisynth_dicom
